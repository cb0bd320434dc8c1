/** How one row of a message list is drawn. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Conversation, Message } from '@duet/client';
import { nameOf } from '../model/names';
import type { Row, SystemEntry } from '../model/rows';
import { tickOf } from '../model/ticks';
import type { TextKey } from '../text/en';
import { texts } from '../text/locale';
import { tick } from './icons';

/** What a row needs besides itself. */
export interface RowContext {
  readonly conversation: Conversation;
  /** The reader's user id; empty until known. */
  readonly me: string;
  readonly now: number;
  /** Messages since then rise into place. */
  readonly openedAt: number;
  readonly retry: (message: Message) => void;
  readonly discard: (message: Message) => void;
}

/** Draws a row. */
export function drawRow(row: Row, context: RowContext): TemplateResult {
  switch (row.type) {
    case 'day':
      return html`<div class="day"><span>${texts().day(row.at, context.now)}</span></div>`;
    case 'unread':
      return html`<div class="unread"><span>${texts().text('log.unread')}</span></div>`;
    case 'system':
      return html`<div class="system" data-seq=${row.entry.seq}>
        ${systemText(row.entry, context)} <time>${texts().time(row.entry.at)}</time>
      </div>`;
    case 'message':
      return drawMessage(row, context);
  }
}

function drawMessage(row: Extract<Row, { type: 'message' }>, context: RowContext): TemplateResult {
  const { message, first, last } = row;
  const name = message.own ? texts().text('log.you') : nameOf(context.conversation, message.author);
  const arrived = message.at >= context.openedAt;
  const classes = [
    'message',
    message.own ? 'own' : 'other',
    first && 'first',
    last && 'last',
    arrived && 'arrived',
  ];
  const time = texts().time(message.at);
  return html`<div
    class=${classes.filter(Boolean).join(' ')}
    data-id=${message.id}
    data-seq=${message.seq ?? nothing}
    data-status=${message.own ? message.status : nothing}
  >
    ${first && !message.own ? html`<div class="author" aria-hidden="true">${name}</div>` : nothing}
    <div class="line">
      <div class="bubble" dir="auto" title=${texts().moment(message.at)}>
        <span class="hidden-visually">${name}, ${time}: </span><span class="text">${textOf(message)}</span>
      </div>
      ${message.own ? drawTick(message) : nothing}
    </div>
    ${message.status === 'failed' ? drawFailure(message, context) : nothing}
    ${last && message.status !== 'failed' ? drawMeta(message, time) : nothing}
  </div>`;
}

function drawTick(message: Message): TemplateResult {
  const { shape, text } = tickOf(message.status);
  const label = texts().text(text);
  return html`<span class="state" title=${label}
    >${tick(shape)}<span class="hidden-visually">, ${label}</span></span
  >`;
}

function drawMeta(message: Message, time: string): TemplateResult {
  const state = message.own ? html` · ${texts().text(tickOf(message.status).text)}` : nothing;
  return html`<div class="meta" aria-hidden="true"><time>${time}</time>${state}</div>`;
}

function drawFailure(message: Message, context: RowContext): TemplateResult {
  const { error } = message;
  const retry = (): void => {
    context.retry(message);
  };
  const discard = (): void => {
    context.discard(message);
  };
  return html`<div class="failure">
    <span
      >${texts().error(error?.name ?? 'other')}
      ${error === undefined ? nothing : html`<small>${texts().text('error.code', { code: String(error.code) })}</small>`}</span
    >
    <span class="remedies">
      <button class="remedy" type="button" @click=${retry}>${texts().text('message.retry')}</button>
      <button class="remedy quiet" type="button" @click=${discard}>${texts().text('message.discard')}</button>
    </span>
  </div>`;
}

/** The words of a message; what is not text is told, not hidden. */
function textOf(message: Message): string {
  return message.content.format === 'text' ? message.text : texts().text('log.unsupported');
}

function systemText(entry: SystemEntry, { conversation, me }: RowContext): string {
  const by = (user: string): { name: string } => ({ name: nameOf(conversation, user) });
  switch (entry.kind) {
    case 'assigned':
      return entry.agent === me
        ? texts().text('system.assigned.own')
        : texts().text('system.assigned', by(entry.agent));
    case 'member.left':
      return texts().text('system.left', by(entry.user));
    case 'member.identified':
      return texts().text('system.identified', { name: entry.name });
    case 'status.changed': {
      if (entry.status === 'resolved' && entry.author !== undefined) {
        return entry.author === me
          ? texts().text('system.resolved')
          : texts().text('system.resolved.by', by(entry.author));
      }
      const key: TextKey = `system.${entry.status}`;
      return texts().text(key);
    }
    case 'system':
      return entry.text;
    case 'created':
    case 'member.joined':
      return texts().text('log.beginning');
  }
}
