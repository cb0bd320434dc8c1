/**
 * Cards: what a message may hold besides text, with buttons and quick replies. The rules are those of docs/protocol.md, "Cards and
 * quick replies"; content is hostile, so a card that breaks one of them is none.
 */
import { isRecord } from './host/storage';
import type { Card, CardButton, CardField, CardImage, QuickReply } from './values';

/** The card that a JSON value is; `undefined` for anything else. */
export function cardOf(value: unknown): Card | undefined {
  if (!isRecord(value)) return undefined;
  const fallback = text(value['fallback'], 1_000);
  if (fallback === undefined || fallback === '') return undefined;
  const card: Card = {
    fallback,
    title: text(value['title'], 200),
    text: text(value['text'], 4_000),
    image: optional(value['image'], imageOf),
    fields: list(value['fields'], 20, fieldOf),
    buttons: list(value['buttons'], 6, buttonOf),
    quickReplies: list(value['quickReplies'], 12, quickReplyOf),
    reply: text(value['reply'], 200),
  };
  const { title, text: words, image, fields, buttons, quickReplies, reply } = card;
  const kept = { title, text: words, image, fields, buttons, quickReplies, reply };
  const names = Object.keys(kept) as (keyof typeof kept)[];
  const isBroken = names.some(name => value[name] !== undefined && kept[name] === undefined);
  const isEmpty = names.every(name => value[name] === undefined);
  return isBroken || isEmpty ? undefined : card;
}

/** What a card that breaks the rules says to people all the same. */
export function fallbackOf(value: unknown): string | undefined {
  return isRecord(value) && typeof value['fallback'] === 'string'
    ? value['fallback'].slice(0, 1_000)
    : undefined;
}

function optional<T>(value: unknown, read: (value: Record<string, unknown>) => T | undefined): T | undefined {
  return isRecord(value) ? read(value) : undefined;
}

function text(value: unknown, max: number): string | undefined {
  return typeof value === 'string' && Array.from(value).length <= max ? value : undefined;
}

function list<T>(
  value: unknown,
  max: number,
  read: (value: Record<string, unknown>) => T | undefined,
): readonly T[] | undefined {
  if (!Array.isArray(value) || value.length > max) return undefined;
  const items = value.flatMap(item => optional(item, read) ?? []);
  return items.length === value.length ? items : undefined;
}

function address(value: unknown): string | undefined {
  const url = text(value, 2_048);
  return url?.startsWith('https:') === true && URL.canParse(url) ? url : undefined;
}

function pixels(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined;
}

function imageOf(value: Record<string, unknown>): CardImage | undefined {
  const [url, alt] = [address(value['url']), text(value['alt'], 300)];
  if (url === undefined || alt === undefined) return undefined;
  return { url, alt, width: pixels(value['width']), height: pixels(value['height']) };
}

function fieldOf(value: Record<string, unknown>): CardField | undefined {
  const [label, words] = [text(value['label'], 100), text(value['value'], 1_000)];
  if (label === undefined || words === undefined) return undefined;
  return { label, value: words, short: value['short'] === true };
}

function buttonOf(value: Record<string, unknown>): CardButton | undefined {
  const label = text(value['label'], 60);
  const [chosen, url] = [text(value['value'], 200), address(value['url'])];
  if (label === undefined || (chosen === undefined) === (url === undefined)) return undefined;
  return url === undefined ? { label, value: chosen ?? '' } : { label, url };
}

function quickReplyOf(value: Record<string, unknown>): QuickReply | undefined {
  const label = text(value['label'], 60);
  if (label === undefined) return undefined;
  return { label, value: text(value['value'], 200) ?? label };
}
