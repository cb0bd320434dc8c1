/**
 * What a client adds to a conversation besides messages: changes of what was said, private notes, system events. Twin of
 * crates/protocol/src/amend.rs.
 *
 * All of them are acknowledged durable writes with a message id, like Publish, and each becomes one event. None of them may
 * be ephemeral.
 */
import { bool, option, struct, tagged, u64, type Value, variants } from './codec';
import { Content } from './event';
import { ClientMessageId, Emoji, Label } from './ids';

/** How safe a message must be before it is acknowledged. */
export const Durability = variants('ephemeral', 'accepted', 'mirrored');
export type Durability = Value<typeof Durability>;

/** Another content for the message at seq `target`. */
export const Edit = struct({ target: u64, content: Content });
/** Takes the message at seq `target` away. */
export const Delete = struct({ target: u64 });
/** The user's reaction to the message at seq `target`; `on`: whether it is there from now on. */
export const React = struct({ target: u64, emoji: Emoji, on: bool });

/** A change of a message. */
export const Change = tagged({ edit: Edit, delete: Delete, react: React });
export type Change = Value<typeof Change>;

/** Changes a message. */
export const Amend = struct({ id: ClientMessageId, change: Change, durability: Durability });
export type Amend = Value<typeof Amend>;

/** A message among staff; visitors get a Withheld event in its place. */
export const Note = struct({
  id: ClientMessageId,
  content: Content,
  replyTo: option(u64),
  durability: Durability,
});
export type Note = Value<typeof Note>;

/** Something that happened, told by a back end; text or JSON. */
export const PostSystem = struct({
  id: ClientMessageId,
  name: Label,
  content: Content,
  durability: Durability,
});
export type PostSystem = Value<typeof PostSystem>;
