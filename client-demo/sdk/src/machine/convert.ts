/** Between the wire's shapes and the application's: contents, events, presence, list entries. */
import { DuetError } from '../errors';
import { CodecError, utf8 } from '../protocol/codec';
import type * as wire from '../protocol/delivery';
import { type Content as WireContent, decodeEventBody, type Event, format } from '../protocol/event';
import { Code } from '../protocol/reject';
import type { Content, InboxEntry, Message, Presence, TimelineEntry } from '../values';

/** The wire's form of a content; throws `bad_request` for what has none. */
export function toWire(content: string | Content): WireContent {
  if (typeof content === 'string') return { format: format.TEXT, body: new TextEncoder().encode(content) };
  switch (content.format) {
    case 'text':
      return toWire(content.text);
    case 'json': {
      // `undefined` and functions have no JSON, whatever the type of stringify says.
      const json = JSON.stringify(content.value) as string | undefined;
      if (json === undefined) throw new DuetError(Code.BAD_REQUEST, 'the value has no JSON form');
      return { format: format.JSON, body: new TextEncoder().encode(json) };
    }
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
  } catch {
    return { format: 'other', number, bytes: body };
  }
  return { format: 'other', number, bytes: body };
}

/** The text of a content, or an empty string. */
export function textOf(content: Content): string {
  return content.format === 'text' ? content.text : '';
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
  return { ...fixed, status: 'accepted', replicas: undefined, error: undefined };
}

/**
 * What an event says; `undefined` for one of a kind that is not known here. An event whose body does not fit its kind
 * counts as unknown: one bad entry must not end a conversation.
 */
export function entry(conversation: string, event: Event, me: string | undefined): TimelineEntry | undefined {
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
    default:
      // Changes of messages, notes and system events are counted; the timeline does not show them yet.
      return undefined;
  }
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

function bodyOf(event: Event): ReturnType<typeof decodeEventBody> {
  try {
    return decodeEventBody(event.kind, event.body);
  } catch (error) {
    if (error instanceof CodecError) return undefined;
    throw error;
  }
}
