/**
 * One client of the TypeScript agent: does what the driver orders, tells what the SDK tells, in the words that all SDKs share
 * (`docs/sdk-spec.md`, "The agent"). Knows nothing of Node or a page; `surroundings` does.
 */
import { Client } from '../../sdk/src/client.ts';
import { UnauthorizedError } from '../../sdk/src/errors.ts';
import { simulate } from '../../sdk/src/simulate.ts';
import { Log } from './log.js';

const CLIENT_EVENTS = [
  'state',
  'message.created',
  'message.updated',
  'message.status',
  'receipt.updated',
  'typing.started',
  'typing.stopped',
  'presence.updated',
  'conversation.updated',
  'inbox.updated',
  'discontinuity',
  'token.refreshed',
  'error',
];
/** What is not told of a client in a crowd. */
const NOISE = new Set(['message.created', 'message.status', 'receipt.updated', 'conversation.updated']);

/** A client by its name, and what it has told. */
export class Held {
  #client;
  #logs = new Map();
  #quiet;

  /** `tell` brings a line to the driver, `ask` a token from it. */
  constructor(name, order, { tell, ask, parts }) {
    const { endpoints, transports, certificate, backlog, outboxMessagesMax, quiet = false } = order;
    this.#quiet = quiet;
    const options = {
      namespace: name,
      persist: order.store !== undefined,
      getToken: async ({ reason }) => {
        const answer = await ask(name, reason);
        if (answer.token !== undefined) return answer.token;
        if (answer.unauthorized) throw new UnauthorizedError('the driver says so');
        throw new Error('the driver has none now');
      },
      ...(transports === undefined ? {} : { transports }),
      ...(certificate === undefined ? {} : { serverCertificateHashes: [certificate] }),
      ...(backlog === undefined ? {} : { backlog }),
      ...(outboxMessagesMax === undefined ? {} : { outboxMessagesMax }),
    };
    this.#client = new Client(endpoints, options, parts?.(name, options, order));
    for (const event of CLIENT_EVENTS) {
      this.#client.on(event, data => {
        this.#note(event, data);
        if (this.#quiet && NOISE.has(event)) return;
        tell({ client: name, event, ...shape(event, data) });
      });
    }
    this.#client.connect();
  }

  /** Does what `order.do` says; the result is the answer. */
  async obey(order) {
    const act = ACTS[order.do];
    if (act !== undefined) return act(this.#client, order, this);
    const of = OF_CONVERSATION[order.do];
    if (of === undefined) throw new Error(`no such order: ${order.do}`);
    return of(this.#client.conversation(order.conversation), order, this);
  }

  log(conversation) {
    return this.#logs.get(conversation)?.value() ?? { ids: [], wrong: 0 };
  }

  /** A subscription begins anew: what was told may be told again. */
  again(conversation) {
    this.#logs.get(conversation)?.again();
  }

  #note(event, data) {
    if (event === 'discontinuity' && data.conversation !== undefined) this.#logs.delete(data.conversation);
    if (event !== 'message.created' && event !== 'message.status') return;
    // What is not stored has no place in a log.
    const { id, seq } = data.message;
    const log = this.#logs.get(data.conversation) ?? new Log();
    this.#logs.set(data.conversation, log);
    if (event === 'message.created') log.created(id, seq);
    else if (seq !== undefined) log.placed(id, seq);
  }
}

const ACTS = {
  connect: client => client.connect(),
  ready: client => client.ready(),
  close: client => client.close(),
  log: (_, { conversation }, held) => held.log(conversation),
  watch_presence: (client, { users }) => client.presence.watch(users),
  watch_inbox: client => client.conversations.watch(),
  availability: (client, { value }) => client.availability.set(value),
  idle: (client, { idle }) => client.availability.idle(idle),
  network_changed: () => {
    globalThis.dispatchEvent?.(new Event('online'));
  },
  info: client => client.info,
  simulate: (client, { fault, forMs, delayMs }) => {
    simulate(client, fault, {
      ...(forMs === undefined ? {} : { forMs }),
      ...(delayMs === undefined ? {} : { delayMs }),
    });
  },
  create: async (client, { kind, subject, members }) => {
    const made = await client.createConversation({ kind, members, ...(subject ? { subject } : {}) });
    return { conversation: made.id };
  },
};

const OF_CONVERSATION = {
  subscribe: (conversation, { latest, after }, held) => {
    held.again(conversation.id);
    return conversation.subscribe({
      ...(latest === undefined ? {} : { latest }),
      ...(after === undefined ? {} : { after }),
    });
  },
  unsubscribe: conversation => conversation.unsubscribe(),
  send: (conversation, { text, durability, replyTo }) => {
    const sent = conversation.send(text, {
      ...(durability === undefined ? {} : { durability }),
      ...(replyTo === undefined ? {} : { replyTo }),
    });
    // What becomes of it is told by events.
    sent.accepted().catch(() => undefined);
    return message(sent.message);
  },
  note: (conversation, { text }) => {
    const sent = conversation.note(text);
    sent.accepted().catch(() => undefined);
    return message(sent.message);
  },
  edit: (conversation, { seq, text }) => changing(conversation.edit(seq, text)),
  delete: (conversation, { seq }) => changing(conversation.delete(seq)),
  react: (conversation, { seq, emoji, on }) => changing(conversation.react(seq, emoji, on)),
  retry: (conversation, { id }) => conversation.retry(id),
  discard: (conversation, { id }) => conversation.discard(id),
  mark_read: (conversation, { seq }) => conversation.markRead(seq),
  keystroke: conversation => conversation.typing.keystroke(),
  stop_typing: conversation => conversation.typing.stop(),
  position: conversation => conversation.position ?? null,
  history: async (conversation, { before, after, limit }) => {
    const page = await conversation.history({
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
      ...(limit === undefined ? {} : { limit }),
    });
    const entries = page.entries.map(({ seq, id, text, author }) => ({ seq, id, text, author }));
    return { entries, more: page.more };
  },
  assign: conversation => conversation.assign(),
  resolve: conversation => conversation.resolve(),
  end: conversation => conversation.close(),
  add_members: (conversation, { members }) => conversation.addMembers(members),
  remove_member: (conversation, { user }) => conversation.removeMember(user),
};

function message({ conversation, id, seq, author, own, text, replyTo, status }) {
  return { conversation, id, seq: seq ?? null, author, own, text, replyTo: replyTo ?? null, status };
}

/** A change is answered when the server has it. */
async function changing(change) {
  await change.accepted();
}

/** What an event says, in the shared words. */
function shape(event, data) {
  switch (event) {
    case 'message.created':
      return { ...message(data.message), live: data.live };
    case 'message.updated': {
      const { change, by, live } = data;
      const { deleted, pending } = data.message;
      const reactions = data.message.reactions.map(({ emoji, users }) => ({ emoji, users }));
      const stands = { deleted: deleted !== undefined, pending: pending !== undefined, reactions };
      return { ...message(data.message), change, by: by ?? null, live, ...stands };
    }
    case 'message.status': {
      const { conversation, id, status, error } = data;
      const said = { code: error?.code ?? 0, retryAfterMs: error?.retryAfterMs ?? 0 };
      return { conversation, id, status, seq: data.message.seq ?? null, ...said };
    }
    case 'conversation.updated':
      return { conversation: data.conversation, seq: data.entry?.seq ?? null };
    case 'inbox.updated':
      return {
        conversation: data.conversation,
        unread: data.entry?.unread ?? 0,
        gone: data.entry === undefined,
      };
    case 'discontinuity':
      return { conversation: data.conversation ?? null, reason: data.reason };
    case 'state':
      // Whether the session went on; `resume` has the server's own word.
      return {
        ...data,
        resume: data.resumed ?? null,
        resumed: data.resumed === 'full' || data.resumed === 'partial',
      };
    case 'error':
      return { code: data.code, message: data.message, retryAfterMs: data.retryAfterMs };
    default:
      return data;
  }
}
