/**
 * The connection's life: dial, greet, stay, move, come back.
 *
 * ```text
 * disconnected ─connect→ connecting ─welcome→ connected ─lost→ reconnecting ─window over→ suspended
 *                            └──────────── welcome ←───────────────┴──────────────────────────┘
 * any ─close()→ closed        any ─terminal code or UnauthorizedError→ failed
 * ```
 * At most one live link and one attempt exist at a time. An attempt beside a live link is how a client moves without a
 * gap: the old link goes only when the new one is welcomed. Every attempt and every wait has a deadline. Codes are obeyed by
 * their range, so that unknown ones are handled well.
 */
import type { ClientState } from '../api';
import { DuetError } from '../errors';
import { capability, VERSIONS, type Welcome } from '../protocol/hello';
import type { Closing, Draining } from '../protocol/delivery';
import { encodeCommand } from '../protocol/command';
import { Code, isLocal, isTerminal } from '../protocol/reject';
import { Backoff } from './backoff';
import { Clock } from './clock';
import { type CarrierInfo, earlier, type Entropy, type Out, type SavedSession } from './effect';
import type { Endpoints } from './endpoints';
import type { Attempt, Cause, Live, Session } from './live';
import { Stray } from './stray';
import { subjectOf, Tokens } from './tokens';

/** How long an attempt may take from dialling to the welcome, milliseconds. */
const ATTEMPT_MS = 15_000;
/** After this time without trouble the backoff begins anew. */
const STABLE_MS = 30_000;
/** A page hidden for longer than this does not reconnect until it is shown. */
const HIDDEN_MS = 300_000;
/** How often a server may say "reconnect now" before the backoff applies all the same. */
const MOVES_MAX = 3;
/** The number of the only request that the connection makes itself. */
export const TOKEN_REQUEST = 0;

/** Dials, greets and keeps the connection. */
export class Connection {
  state: ClientState = 'disconnected';
  live: Live | undefined;
  readonly tokens: Tokens;
  readonly clock: Clock;
  readonly #out: Out;
  readonly #entropy: Entropy;
  readonly #endpoints: Endpoints;
  readonly #device: string;
  readonly #sdk: string;
  readonly #parent: Session;
  readonly #backoff = new Backoff();
  readonly #stray = new Stray();
  #saved: SavedSession | undefined;
  #epochSeen: number;
  #attempt: Attempt | undefined;
  #links = 0;
  #moves = 0;
  #retryAt: number | undefined;
  #suspendAt: number | undefined;
  #drainAt: number | undefined;
  #hiddenSince: number | undefined;
  #waiting: number[] = [];
  #end: Cause = { code: 0, reason: '' };

  constructor(
    out: Out,
    entropy: Entropy,
    parent: Session,
    setup: {
      readonly endpoints: Endpoints;
      readonly device: string;
      readonly sdk: string;
      readonly saved: SavedSession | undefined;
      readonly clockOffset: number;
    },
  ) {
    this.#out = out;
    this.#entropy = entropy;
    this.#parent = parent;
    this.#endpoints = setup.endpoints;
    this.#device = setup.device;
    this.#sdk = setup.sdk;
    this.#saved = setup.saved;
    this.#epochSeen = setup.saved?.epoch ?? 0;
    this.tokens = new Tokens(out, entropy);
    this.clock = new Clock(out, setup.clockOffset);
  }

  /** The session that would be resumed. */
  get saved(): SavedSession | undefined {
    return this.#saved;
  }

  /** The stored session belongs to another tab. */
  disown(): void {
    if (this.live === undefined) this.#forget();
  }

  /** Begins to connect; while it waits for the next try, tries at once. `call` is settled when connected, refused when that failed for good. */
  connect(now: number, call?: number): void {
    if (call !== undefined) {
      if (this.state === 'connected') this.#out.settle([call]);
      else this.#waiting.push(call);
    }
    if (this.state !== 'disconnected' && this.state !== 'closed' && this.state !== 'failed') {
      if (this.#retryAt !== undefined) this.#begin(now);
      return;
    }
    this.#backoff.reset();
    this.#change('connecting', { code: 0, reason: '' });
    this.#begin(now);
  }

  /** Ends the session for good. */
  close(): void {
    if (this.state === 'closed') return;
    this.#out.command(0, { type: 'Goodbye', body: {} });
    this.#forget();
    this.#finish('closed', { code: Code.CLOSED_BY_USER, reason: '' });
  }

  /** A carrier stands; the greeting follows as soon as there is something to greet with. */
  linkUp(link: number, carrier: CarrierInfo): void {
    if (this.#attempt?.link !== link) {
      this.#out.push({ type: 'hangUp', link, code: 0, reason: '' });
      return;
    }
    this.#attempt.carrier = carrier;
    this.#greet();
  }

  linkDown(now: number, link: number, code: number, reason: string): void {
    const cause = { code: code === 0 ? Code.TRANSPORT_CLOSED : code, reason };
    if (this.#attempt?.link === link) this.#attemptFailed(now, cause);
    else if (this.live?.link === link) this.#lost(now, cause);
  }

  /** Whether frames of this link count. */
  knows(link: number): boolean {
    return this.live?.link === link || this.#attempt?.link === link;
  }

  token(token: string): void {
    const subject = subjectOf(token);
    if (this.#saved !== undefined && subject !== undefined && subject !== this.#saved.user) this.#forget();
    const reason = this.tokens.arrived(token);
    const inBand = reason === 'refresh' || (reason === 'revoked' && this.#attempt === undefined);
    if (inBand) this.#out.command(0, { type: 'Authenticate', body: { request: TOKEN_REQUEST, token } });
    this.#greet();
  }

  /** There is no token now, or (`terminal`) there will be none. */
  tokenFailed(now: number, message: string, terminal: boolean): void {
    const reason = this.tokens.failed(now);
    if (terminal) {
      this.#finish('failed', { code: Code.UNAUTHENTICATED, reason: message });
    } else if (reason !== 'refresh' && this.#attempt !== undefined && !this.#attempt.greeted) {
      if (this.#saved === undefined || reason === 'revoked') {
        this.#attemptFailed(now, { code: Code.UNAUTHENTICATED, reason: `no token: ${message}` });
      } else this.#greet();
    }
  }

  welcome(now: number, link: number, welcome: Welcome): void {
    const attempt = this.#attempt;
    if (attempt?.link !== link || attempt.carrier === undefined) return;
    if (welcome.epoch < this.#epochSeen) {
      this.#attemptFailed(now, { code: Code.NOT_PRIMARY, reason: 'the node reigns no more' });
      return;
    }
    const old = this.live;
    if (old !== undefined) this.#out.push({ type: 'hangUp', link: old.link, code: 0, reason: 'moved' });
    this.#attempt = this.#retryAt = this.#suspendAt = this.#drainAt = undefined;
    this.live = { link, address: attempt.address, transport: attempt.carrier.transport, welcome, since: now };
    this.#out.link = link;
    this.#epochSeen = welcome.epoch;
    this.#endpoints.succeeded(attempt.address, welcome.peers);
    const { session, resume, tenant, user, epoch } = welcome;
    this.#saved = { session, resume, tenant, user, epoch };
    this.#out.push({ type: 'saveSession', session: this.#saved });
    this.#life(now, welcome.tokenExpiresMs, welcome.serverTimeMs);
    this.clock.start(now, welcome.limits.pingEveryMs, welcome.serverTimeMs);
    this.#parent.welcomed(now, welcome);
    this.#change('connected', { code: 0, reason: '' });
    this.#out.settle(this.#waiting.splice(0));
  }

  /** The server did not take a refreshed token: another one is asked for, once. */
  notAuthenticated(now: number, error: DuetError): void {
    if (!this.tokens.refused(now)) this.#out.emit('error', error);
  }

  /** The server took a refreshed token. */
  authenticated(now: number, expiresMs: number): void {
    this.#life(now, expiresMs, this.clock.server(now));
    this.#out.emit('token.refreshed', { expires: expiresMs });
  }

  closing(now: number, link: number, closing: Closing): void {
    const { code, reason, retryAfterMs, endpoint } = closing;
    const cause = { code, reason, retryAfterMs, endpoint };
    if (this.#attempt?.link === link) this.#attemptFailed(now, cause);
    else if (this.live?.link === link) this.#lost(now, cause);
  }

  /** The node will stop: moves in its slot, if there is another place. */
  draining(now: number, draining: Draining): void {
    if (this.live === undefined || this.#attempt !== undefined) return;
    if (draining.endpoint !== undefined) this.#endpoints.aim(draining.endpoint);
    else if (!this.#endpoints.aimAway(this.live.address)) return;
    this.#drainAt = now + draining.moveAfterMs;
  }

  /**
   * The network may have changed or the page woke up: tries at once when disconnected; when connected, asks for a sign of
   * life and (`moved`) opens a second link beside the first.
   */
  wake(now: number, moved: boolean): void {
    if (this.#retryAt !== undefined) this.#begin(now);
    else if (this.live !== undefined) {
      this.clock.probe(now);
      if (moved && this.#attempt === undefined) this.#begin(now, this.live.address);
    }
  }

  hidden(now: number, hidden: boolean): void {
    this.#hiddenSince = hidden ? (this.#hiddenSince ?? now) : undefined;
    if (!hidden) this.wake(now, false);
  }

  tick(now: number): void {
    if (this.#attempt !== undefined && now >= this.#attempt.deadline) {
      this.#attemptFailed(now, { code: Code.TIMEOUT, reason: 'no welcome in time' });
    }
    if (this.tokens.tick(now)) this.tokenFailed(now, 'getToken did not answer in time', false);
    if (this.clock.tick(now) && this.live !== undefined) {
      this.#lost(now, { code: Code.TIMEOUT, reason: 'the server fell silent' });
    }
    if (this.#suspendAt !== undefined && now >= this.#suspendAt) {
      this.#suspendAt = undefined;
      this.#change('suspended', this.#end, this.#retryAt === undefined ? undefined : this.#retryAt - now);
    }
    if (this.#drainAt !== undefined && now >= this.#drainAt) {
      this.#drainAt = undefined;
      if (this.#attempt === undefined) this.#begin(now);
    }
    if (this.#retryAt !== undefined && now >= this.#retryAt && !this.#asleep(now)) this.#begin(now);
  }

  deadline(now: number): number | undefined {
    const retry = this.#retryAt !== undefined && this.#asleep(now) ? undefined : this.#retryAt;
    const own = earlier(earlier(this.#attempt?.deadline, retry), earlier(this.#suspendAt, this.#drainAt));
    return earlier(own, earlier(this.tokens.deadline(), this.clock.deadline()));
  }

  #begin(now: number, address = this.#endpoints.next()): void {
    this.#retryAt = undefined;
    if (address === undefined) {
      this.#finish('failed', { code: Code.UNREACHABLE, reason: 'no endpoint was given' });
      return;
    }
    const link = ++this.#links;
    this.#attempt = { link, address, deadline: now + ATTEMPT_MS, carrier: undefined, greeted: false };
    this.#out.push({ type: 'dial', link, address });
    this.tokens.prepare(now);
  }

  #greet(): void {
    const attempt = this.#attempt;
    if (attempt?.carrier === undefined || attempt.greeted) return;
    const awaited = this.tokens.pending;
    if (awaited === 'connect' || awaited === 'revoked') return;
    if (this.tokens.current === undefined && this.#saved === undefined) return;
    attempt.greeted = true;
    const hello = {
      versions: VERSIONS,
      token: this.tokens.current,
      resume: this.#saved?.resume,
      device: this.#device,
      sdk: this.#sdk,
      epochSeen: this.#epochSeen,
      capabilities: attempt.carrier.datagrams ? capability.DATAGRAMS : 0n,
    };
    const inner = encodeCommand({ type: 'Hello', body: hello });
    this.#out.push({ type: 'frame', link: attempt.link, lane: 0, inner });
  }

  #attemptFailed(now: number, cause: Cause): void {
    if (this.#attempt === undefined) return;
    this.#out.push({ type: 'hangUp', link: this.#attempt.link, code: 0, reason: '' });
    if (this.#attempt.greeted && isLocal(cause.code)) this.#stray.givenUp(now);
    this.#attempt = undefined;
    if (this.#refusedToken(now, cause)) return;
    if (isTerminal(cause.code)) this.#finish('failed', cause);
    else if (this.live === undefined) this.#retry(now, cause);
  }

  #lost(now: number, why: Cause): void {
    if (this.live === undefined) return;
    const moving = this.#attempt !== undefined;
    const byItself = why.code === Code.REPLACED && (moving || this.#stray.tookIt(now));
    const cause = byItself ? { code: Code.TRANSPORT_CLOSED, reason: why.reason } : why;
    const window = this.live.welcome.limits.resumeWindowMs;
    if (now - this.live.since >= STABLE_MS) {
      this.#backoff.reset();
      this.#moves = 0;
    }
    this.#out.push({ type: 'hangUp', link: this.live.link, code: 0, reason: '' });
    this.live = this.#out.link = this.#drainAt = undefined;
    this.clock.stop();
    this.tokens.rest();
    this.#parent.lost();
    this.#suspendAt = now + window;
    if (this.#refusedToken(now, cause)) this.#change('reconnecting', cause);
    else if (isTerminal(cause.code)) this.#finish('failed', cause);
    else if (moving) this.#change('reconnecting', cause);
    else this.#retry(now, cause);
  }

  /** A token that was refused is replaced once, at once. */
  #refusedToken(now: number, cause: Cause): boolean {
    const token = cause.code === Code.INVALID_TOKEN || cause.code === Code.UNAUTHENTICATED;
    if (!token && cause.code !== Code.TOKEN_EXPIRED) return false;
    if (this.tokens.current === undefined) {
      // Only the resume token was shown, and it is worth nothing any more.
      this.#forget();
      this.#retry(now, cause);
      return true;
    }
    if (!this.tokens.refused(now)) return false;
    if (this.#attempt === undefined) this.#begin(now);
    return true;
  }

  #retry(now: number, cause: Cause, state = this.state === 'connected' ? 'reconnecting' : this.state): void {
    const atOnce = cause.code >= 3400 && cause.code <= 3499 && this.#moves++ < MOVES_MAX;
    if (cause.endpoint !== undefined) this.#endpoints.aim(cause.endpoint);
    const delay = atOnce
      ? (cause.retryAfterMs ?? 0)
      : this.#backoff.next(this.#entropy.unit(), cause.retryAfterMs);
    this.#retryAt = now + delay;
    this.#change(state, cause, delay);
  }

  #finish(state: 'closed' | 'failed', cause: Cause): void {
    for (const link of [this.#attempt?.link, this.live?.link]) {
      if (link !== undefined) this.#out.push({ type: 'hangUp', link, code: 0, reason: '' });
    }
    const wasLive = this.live !== undefined;
    this.#attempt = this.live = this.#out.link = undefined;
    this.#retryAt = this.#suspendAt = this.#drainAt = undefined;
    this.clock.stop();
    this.tokens.rest();
    if (wasLive) this.#parent.lost();
    const error = new DuetError(cause.code, cause.reason);
    this.#out.refuse(this.#waiting.splice(0), error);
    this.#parent.ended(error);
    this.#change(state, cause);
  }

  #forget(): void {
    this.#saved = undefined;
    this.#out.push({ type: 'saveSession', session: undefined });
  }

  #asleep(now: number): boolean {
    return this.#hiddenSince !== undefined && now - this.#hiddenSince > HIDDEN_MS;
  }

  #life(now: number, expiresMs: number, serverTimeMs: number): void {
    this.tokens.accepted(now, expiresMs === 0 ? undefined : expiresMs - serverTimeMs);
  }

  #change(current: ClientState, cause: Cause, retryIn?: number): void {
    const previous = this.state;
    this.state = current;
    this.#end = cause;
    this.#out.emit('state', {
      current,
      previous,
      code: cause.code,
      reason: cause.reason,
      retryIn,
      transport: this.live?.transport,
      node: this.live?.welcome.node,
      resumed: this.live?.welcome.resumed === 'full',
    });
  }
}
