/** Between the wire's shapes and the application's: contents, events, presence, list entries. */
import { cardOf, fallbackOf } from '../card';
import { DuetError } from '../errors';
import { CodecError, utf8 } from '../protocol/codec';
import type * as wire from '../protocol/delivery';
import {
  type Content as WireContent,
  decodeEventBody,
  type Event,
  EVENT_BODIES,
  type EventBody,
  format,
} from '../protocol/event';
import { Code } from '../protocol/reject';
import type { Content, InboxEntry, Message, Presence, TimelineEntry } from '../values';
import { type Change, textOf } from './changes';

/** The wire's form of a content; throws `bad_request` for what has none. */
export function toWire(content: string | Content): WireContent {
  if (typeof content === 'string') return { format: format.TEXT, body: new TextEncoder().encode(content) };
  switch (content.format) {
    case 'text':
      return toWire(content.text);
    case 'json':
      return jsonOf(format.JSON, content.value);
    case 'card':
      if (cardOf(content.card) === undefined) throw new DuetError(Code.BAD_REQUEST, 'the card breaks a rule');
      return jsonOf(format.CARD, content.card);
    case 'other':
      return { format: content.number, body: content.bytes.slice() };
  }
}

/** The application's form of a content. What is not what it says it is comes as `other`. */
export function fromWire(content: WireContent): Content {
  const { format: number, body } = content;
  try {
    if (number === format.TEXT) return { format: 'text', text: utf8(body) };
    if (number === format.JSON) return { format: 'json', value: JSON.parse(utf8(body)) as unknown };
    if (number === format.CARD) return cardContent(JSON.parse(utf8(body)) as unknown, body);
  } catch {
    return { format: 'other', number, bytes: body };
  }
  return { format: 'other', number, bytes: body };
}

/** A message of the log, as yet without what others have done with it. */
export function message(
  conversation: string,
  event: { readonly seq: number | undefined; readonly atMs: number; readonly author: string },
  body: { readonly id: string; readonly content: WireContent; readonly replyTo: number | undefined },
  own: boolean,
): Message {
  const content = fromWire(body.content);
  const { id, replyTo } = body;
  const { seq, atMs: at, author } = event;
  const text = textOf(content);
  const fixed = { kind: 'message', id, conversation, seq, at, author, own, content, text, replyTo } as const;
  return { ...fixed, ...UNCHANGED, status: 'accepted', replicas: undefined, error: undefined };
}

/** What an event is to a client: an entry of the timeline, a change of one, or (`nothing`) something that only counts. */
export type Reading = TimelineEntry | Change | { readonly kind: 'nothing' } | undefined;

const NOTHING = { kind: 'nothing' } as const;

/**
 * What an event says; `undefined` for one of a kind that is not known here. An event whose body does not fit its kind
 * counts as unknown: one bad entry must not end a conversation.
 */
export function reading(conversation: string, event: Event, me: string | undefined): Reading {
  const { seq, atMs: at, author } = event;
  const base = { conversation, seq, at, author };
  const known = bodyOf(event);
  switch (known?.type) {
    case undefined:
      return undefined;
    case 'Message': {
      const by = author ?? '';
      return message(conversation, { seq, atMs: at, author: by }, known.body, by === me);
    }
    case 'Created': {
      const { kind, subject } = known.body;
      return { ...base, kind: 'created', conversationKind: kind, subject };
    }
    case 'MemberJoined':
      return { ...base, kind: 'member.joined', ...known.body };
    case 'MemberLeft':
      return { ...base, kind: 'member.left', user: known.body.user };
    case 'MemberIdentified':
      return { ...base, kind: 'member.identified', ...known.body };
    case 'Assigned':
      return { ...base, kind: 'assigned', agent: known.body.agent };
    case 'StatusChanged':
      return { ...base, kind: 'status.changed', status: known.body.status };
    case 'System': {
      const content = fromWire(known.body.content);
      return { ...base, kind: 'system', name: known.body.name, content, text: textOf(content) };
    }
    case 'Private':
      return inPrivate(known.body.kind, () => reading(conversation, { ...event, ...known.body }, me));
    case 'Tombstone':
      return known.body.of === seq ? tombstone(conversation, event, known.body.deletedAtMs, me) : NOTHING;
    case 'Withheld':
      return NOTHING;
    case 'Edited':
    case 'Deleted':
    case 'Reacted':
      return changeOf(known, { seq, at, author });
  }
}

/** The entry that an event is, if it is one. */
export function entry(conversation: string, event: Event, me: string | undefined): TimelineEntry | undefined {
  const read = reading(conversation, event, me);
  return read === undefined || read.kind === 'change' || read.kind === 'nothing' ? undefined : read;
}

export function presence(value: wire.Presence): Presence {
  const { user, availability, connectivity, lastSeenMs: lastSeen } = value;
  return { user, availability, connectivity, lastSeen };
}

export function inboxEntry(value: wire.InboxEntry): InboxEntry {
  const { conversation, kind, status, subject, assignee, head, read, unread, members } = value;
  const activeAt = value.activeAtMs;
  return { conversation, kind, status, subject, assignee, head, activeAt, read, unread, members };
}

/** What a message is like that nobody has changed. */
const UNCHANGED = {
  edited: undefined,
  deleted: undefined,
  reactions: [],
  private: false,
  pending: undefined,
} as const;

/** Events within events are not nested further: what claims to be is not known. */
function inPrivate(kind: number, inside: () => Reading): Reading {
  if (kind === EVENT_BODIES.Private[0] || kind === EVENT_BODIES.Withheld[0]) return undefined;
  const read = inside();
  return read?.kind === 'message' ? { ...read, private: true } : read;
}

/** A message that was deleted before it was loaded. Who deleted it is told by the event that did. */
function tombstone(conversation: string, event: Event, at: number, me: string | undefined): Message {
  const { seq, atMs, author = '' } = event;
  const body = {
    id: `seq-${seq}`,
    content: { format: format.TEXT, body: new Uint8Array() },
    replyTo: undefined,
  };
  const gone = message(conversation, { seq, atMs, author }, body, author === me);
  return { ...gone, deleted: { at, by: undefined } };
}

function changeOf(
  known: Extract<EventBody, { type: 'Edited' | 'Deleted' | 'Reacted' }>,
  told: { readonly seq: number; readonly at: number; readonly author: string | undefined },
): Change {
  const { id, target } = known.body;
  const base = { kind: 'change', id, target, ...told } as const;
  switch (known.type) {
    case 'Edited':
      return { ...base, type: 'edited', content: fromWire(known.body.content) };
    case 'Deleted':
      return { ...base, type: 'deleted' };
    case 'Reacted':
      return { ...base, type: 'reacted', emoji: known.body.emoji, on: known.body.on };
  }
}

function jsonOf(number: number, value: unknown): WireContent {
  // `undefined` and functions have no JSON, whatever the type of stringify says.
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) throw new DuetError(Code.BAD_REQUEST, 'the value has no JSON form');
  return { format: number, body: new TextEncoder().encode(json) };
}

/** A card, or what a broken one says to people all the same. */
function cardContent(value: unknown, bytes: Uint8Array): Content {
  const card = cardOf(value);
  if (card !== undefined) return { format: 'card', card };
  const fallback = fallbackOf(value);
  return fallback === undefined
    ? { format: 'other', number: format.CARD, bytes }
    : { format: 'text', text: fallback };
}

function bodyOf(event: Event): ReturnType<typeof decodeEventBody> {
  try {
    return decodeEventBody(event.kind, event.body);
  } catch (error) {
    if (error instanceof CodecError) return undefined;
    throw error;
  }
}
