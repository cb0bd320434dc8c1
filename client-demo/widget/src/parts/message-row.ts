/** How one row of a message list is drawn. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Conversation, Message, QuickReply } from '@duet/client';
import { Ban, Lock } from 'lucide';
import { nameOf } from '../model/names';
import type { Row, SystemEntry } from '../model/rows';
import { tickOf } from '../model/ticks';
import type { TextKey } from '../text/en';
import { texts } from '../text/locale';
import './actions';
import type { MessageAct } from './actions';
import { drawCard } from './card';
import { icon, tick } from './icons';

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
  /** The message whose actions are the list's tab stop. */
  readonly stop: string | undefined;
  readonly may: (message: Message) => readonly MessageAct['type'][];
  readonly act: (message: Message, act: MessageAct) => void;
  readonly choose: (card: Message, choice: QuickReply) => void;
  /** Brings the message at this seq into view. */
  readonly show: (seq: number) => void;
  readonly retryChange: (id: string) => void;
  readonly discardChange: (id: string) => void;
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
  const classes = [
    'message',
    message.own ? 'own' : 'other',
    first && 'first',
    last && 'last',
    message.at >= context.openedAt && 'arrived',
    message.private && 'note',
    message.deleted !== undefined && 'deleted',
  ];
  const time = texts().time(message.at);
  const about = message.private ? `${name}, ${texts().text('log.note')}, ${time}: ` : `${name}, ${time}: `;
  return html`<div
    class=${classes.filter(Boolean).join(' ')}
    data-id=${message.id}
    data-seq=${message.seq ?? nothing}
    data-status=${message.own ? message.status : nothing}
  >
    ${first && !message.own ? html`<div class="author" aria-hidden="true">${name}</div>` : nothing}
    <div class="line">
      <div class="bubble" dir="auto" title=${texts().moment(message.at)}>
        ${message.private ? html`<span class="mark" aria-hidden="true">${icon(Lock, 12)}${texts().text('log.note')}</span>` : nothing}
        ${drawQuote(message, context)}
        <span class="hidden-visually">${about}</span>${drawContent(message, context)}
        ${message.edited === undefined ? nothing : html`<small class="edited">${texts().text('log.edited')}</small>`}
      </div>
      ${message.own ? drawTick(message) : nothing} ${drawActions(message, name, context)}
    </div>
    ${drawReactions(message, context)} ${drawChange(message, context)}
    ${message.status === 'failed' ? drawFailure(message, context) : nothing}
    ${last && message.status !== 'failed' ? drawMeta(message, time) : nothing}
  </div>`;
}

/** The message that this one answers, short; pressing it leads there. */
function drawQuote({ replyTo, deleted }: Message, { conversation, show }: RowContext): unknown {
  if (replyTo === undefined || deleted !== undefined) return nothing;
  const quoted = conversation.timeline.find(entry => entry.seq === replyTo);
  if (quoted?.kind !== 'message') return nothing;
  const name = quoted.own ? texts().text('log.you') : nameOf(conversation, quoted.author);
  const text = quoted.deleted === undefined ? quoted.text : texts().text('log.deleted');
  return html`<button
    class="quote"
    type="button"
    aria-label=${texts().text('log.quote', { name, text })}
    @click=${() => {
      show(replyTo);
    }}
  >
    <b>${name}</b><span>${text}</span>
  </button>`;
}

function drawContent(message: Message, context: RowContext): TemplateResult {
  const { content, deleted } = message;
  if (deleted !== undefined) {
    return html`<span class="text gone">${icon(Ban, 14)}${texts().text('log.deleted')}</span>`;
  }
  if (content.format === 'card') {
    const choose = message.own || message.seq === undefined ? undefined : context.choose;
    return drawCard(
      content.card,
      choose &&
        (choice => {
          choose(message, choice);
        }),
    );
  }
  // What is not text is told, not hidden.
  const text = content.format === 'text' ? message.text : texts().text('log.unsupported');
  return html`<span class="text">${text}</span>`;
}

function drawActions(message: Message, name: string, { may, act, stop }: RowContext): unknown {
  const acts = may(message);
  if (message.seq === undefined || acts.length === 0) return nothing;
  return html`<duet-actions
    .label=${`${name}, ${message.text}`}
    .may=${acts}
    ?stop=${stop === message.id}
    @duet-act=${(event: CustomEvent<MessageAct>) => {
      act(message, event.detail);
    }}
  ></duet-actions>`;
}

function drawReactions(message: Message, { conversation, may, act, me }: RowContext): unknown {
  if (message.reactions.length === 0) return nothing;
  const fixed = !may(message).includes('react');
  const nameFor = (user: string): string =>
    user === me ? texts().text('log.you') : nameOf(conversation, user);
  return html`<div class="reactions">
    ${message.reactions.map(({ emoji, users, own }) => {
      const names = users.map(nameFor).join(', ');
      return html`<button
        class="chip"
        type="button"
        aria-pressed=${own ? 'true' : 'false'}
        aria-label=${texts().text('log.reaction', { emoji, count: users.length, names })}
        title=${names}
        ?disabled=${fixed}
        @click=${() => {
          act(message, { type: 'react', emoji });
        }}
      >
        ${emoji}<span class="figures">${users.length}</span>
      </button>`;
    })}
  </div>`;
}

/** An own change that waits, or was refused. */
function drawChange({ pending }: Message, { retryChange, discardChange }: RowContext): unknown {
  if (pending === undefined) return nothing;
  const { error, id, type } = pending;
  if (error === undefined) {
    return type === 'react' ? nothing : html`<div class="meta late">${texts().text('log.changing')}</div>`;
  }
  return drawProblem(`${texts().text(`log.change.${type}`)} ${texts().error(error.name)}`, error.code, {
    retry: () => {
      retryChange(id);
    },
    discard: () => {
      discardChange(id);
    },
  });
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
  return drawProblem(texts().error(error?.name ?? 'other'), error?.code, {
    retry: () => {
      context.retry(message);
    },
    discard: () => {
      context.discard(message);
    },
  });
}

/** What went wrong, and the two ways out. */
function drawProblem(
  text: string,
  code: number | undefined,
  ways: { readonly retry: () => void; readonly discard: () => void },
): TemplateResult {
  return html`<div class="failure">
    <span
      >${text}
      ${code === undefined ? nothing : html`<small>${texts().text('error.code', { code: String(code) })}</small>`}</span
    >
    <span class="remedies">
      <button class="remedy" type="button" @click=${ways.retry}>${texts().text('message.retry')}</button>
      <button class="remedy quiet" type="button" @click=${ways.discard}>
        ${texts().text('message.discard')}
      </button>
    </span>
  </div>`;
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
