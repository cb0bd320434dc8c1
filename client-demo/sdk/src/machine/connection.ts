/**
 * The connection's life: dial, greet, stay, move, come back.
 *
 * ```text
 * disconnected ─connect→ connecting ─welcome→ connected ─lost→ reconnecting ─window over→ suspended
 *                            └──────────── welcome ←───────────────┴──────────────────────────┘
 * any ─close()→ closed        any ─terminal code or UnauthorizedError→ failed
 * ```
 * At most one live link and one round of attempts exist at a time. A round beside a live link is how a client moves without
 * a gap, and how it asks when the node in use is silent: the old link goes only when the new one is welcomed, and a server that
 * ends the old one for a hello that is under way does not end the state. Every round and every wait has a deadline. Codes are
 * obeyed by their range, so that unknown ones are handled well.
 */
import type { ClientState, Resumption } from '../api';
import type { DuetError } from '../errors';
import type { Welcome } from '../protocol/hello';
import type { Closing, Draining } from '../protocol/delivery';
import { encodeCommand } from '../protocol/command';
import { Code, isLocal, isTerminal } from '../protocol/reject';
import { Beside } from './beside';
import { Clock } from './clock';
import { DOUBT_MS, STALL_MS } from './doubt';
import { type CarrierInfo, earlier, type Entropy, type Out, type SavedSession } from './effect';
import type { Endpoints } from './endpoints';
import type { Cause, Live, Session } from './live';
import { type Ended, Reach } from './reach';
import { isRedirect } from './round';
import { Remembered } from './session';
import { Status } from './status';
import { Stray } from './stray';
import { isTokenCode, subjectOf, Tokens } from './tokens';
import { Waits } from './waits';

/** The number of the only request that the connection makes itself. */
export const TOKEN_REQUEST = 0;

/** Dials, greets and keeps the connection. */
export class Connection {
  live: Live | undefined;
  readonly tokens: Tokens;
  readonly clock: Clock;
  readonly #out: Out;
  readonly #entropy: Entropy;
  readonly #endpoints: Endpoints;
  readonly #parent: Session;
  readonly #waits = new Waits();
  readonly #beside: Beside;
  readonly #reach: Reach;
  readonly #stray = new Stray();
  readonly #session: Remembered;
  readonly #status: Status;
  /** Why the live link was ended while a hello is under way that may take its place. */
  #handover: Cause | undefined;

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
    this.#session = new Remembered(out, setup.device, setup.sdk, setup.saved);
    this.tokens = new Tokens(out, entropy);
    this.#reach = new Reach(out, ({ link, carrier }) => {
      const body = this.#session.hello(this.tokens.current, carrier);
      out.push({ type: 'frame', link, lane: 0, inner: encodeCommand({ type: 'Hello', body }) });
    });
    this.#beside = new Beside(setup.endpoints, this.#reach, entropy);
    this.clock = new Clock(out, setup.clockOffset);
    this.#status = new Status(out, () => ({ live: this.live, epoch: this.#session.epochSeen }));
  }

  get state(): ClientState {
    return this.#status.current;
  }

  /** The session that would be resumed. */
  get saved(): SavedSession | undefined {
    return this.#session.saved;
  }

  /** The stored session belongs to another tab. */
  disown(): void {
    if (this.live === undefined) this.#session.forget();
  }

  /** Begins to connect; while it waits for the next try, tries at once. `call` is settled when connected, refused when that failed for good. */
  connect(now: number, call?: number): void {
    if (call !== undefined) this.#status.wait(call);
    if (this.state !== 'disconnected' && this.state !== 'closed' && this.state !== 'failed') {
      if (this.#waits.retryAt !== undefined) this.#begin(now);
      return;
    }
    this.#waits.reset();
    this.#status.change('connecting', { code: 0, reason: '' });
    this.#begin(now);
  }

  /** Ends the session for good. */
  close(): void {
    if (this.state === 'closed') return;
    this.#out.command(0, { type: 'Goodbye', body: {} });
    this.#session.forget();
    this.#finish('closed', { code: Code.CLOSED_BY_USER, reason: '' });
  }

  /** A carrier stands; the greeting follows as soon as there is something to greet with. */
  linkUp(now: number, link: number, carrier: CarrierInfo): void {
    const dialled = this.#reach.find(link);
    if (dialled === undefined) {
      this.#out.push({ type: 'hangUp', link, code: 0, reason: '' });
      return;
    }
    dialled.carrier = carrier;
    this.#reach.greet(now, this.#mayGreet);
  }

  linkDown(now: number, link: number, code: number, reason: string): void {
    this.#ended(now, link, { code: code === 0 ? Code.TRANSPORT_CLOSED : code, reason });
  }

  /** Whether frames of this link count. */
  knows(link: number): boolean {
    return this.live?.link === link || this.#reach.find(link) !== undefined;
  }

  /** The node in use gave a sign of life. */
  heard(now: number): void {
    this.clock.heard(now);
    this.#beside.heard();
  }

  /** The node in use gave a proof that it serves: what failed before it is forgotten. */
  served(): void {
    this.#waits.reset();
  }

  /** Something was sent that is answered at once as a rule: silence is noticed soon, and sooner where there is another node. */
  expect(now: number): void {
    if (this.live === undefined) return;
    const alone = this.#endpoints.others(this.live.address).length === 0;
    this.clock.expect(now, Math.max(alone ? STALL_MS : DOUBT_MS, 3 * (this.clock.rtt ?? 0)));
  }

  token(now: number, token: string): void {
    const subject = subjectOf(token);
    if (this.#session.saved !== undefined && subject !== undefined && subject !== this.#session.saved.user)
      this.#session.forget();
    const reason = this.tokens.arrived(token);
    const inBand = reason === 'refresh' || (reason === 'revoked' && this.#reach.purpose === undefined);
    if (inBand) this.#out.command(0, { type: 'Authenticate', body: { request: TOKEN_REQUEST, token } });
    this.#reach.greet(now, this.#mayGreet);
  }

  /** There is no token now, or (`terminal`) there will be none. */
  tokenFailed(now: number, message: string, terminal: boolean): void {
    const reason = this.tokens.failed(now);
    if (terminal) {
      this.#finish('failed', { code: Code.UNAUTHENTICATED, reason: message });
    } else if (reason !== 'refresh' && this.#reach.purpose !== undefined && !this.#reach.greets) {
      if (this.#session.saved === undefined || reason === 'revoked') {
        const cause = { code: Code.UNAUTHENTICATED, reason: `no token: ${message}` };
        if (this.#reach.end()?.purpose === 'connect') this.#retry(now, cause);
      } else this.#reach.greet(now, this.#mayGreet);
    }
  }

  welcome(now: number, link: number, welcome: Welcome): void {
    if (this.#reach.find(link)?.carrier === undefined) return;
    if (welcome.epoch < this.#session.epochSeen) {
      this.#dialLost(now, link, { code: Code.NOT_PRIMARY, reason: 'the node reigns no more' });
      return;
    }
    const won = this.#reach.win(link);
    if (won?.carrier === undefined) return;
    const old = this.live;
    if (old !== undefined) this.#out.push({ type: 'hangUp', link: old.link, code: 0, reason: 'moved' });
    this.#waits.retryAt = this.#handover = undefined;
    this.#beside.stop();
    this.live = { link, address: won.address, transport: won.carrier.transport, welcome, since: now };
    if (won.carrier.better) this.#beside.lesser(now, won.carrier.transport);
    this.#out.link = link;
    this.#endpoints.succeeded(won.address, welcome.peers);
    this.#session.welcomed(welcome, this.#endpoints.peers);
    this.#life(now, welcome.tokenExpiresMs, welcome.serverTimeMs);
    this.clock.start(now, welcome.limits.pingEveryMs, welcome.serverTimeMs);
    this.#parent.welcomed(now, welcome);
    const { resumed } = welcome;
    this.#status.connected(resumed === 'new' ? undefined : { outcome: resumed, missing: [] });
  }

  /** The session went on, but not all of its conversations. */
  partly(missing: readonly string[]): void {
    const resumed: Resumption = { outcome: 'partial', missing };
    if (this.live?.welcome.resumed !== 'full') return;
    this.#status.change(this.state, { code: 0, reason: '' }, undefined, resumed);
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
    this.#ended(now, link, { code, reason, retryAfterMs, endpoint });
  }

  /** The node will stop: moves in its slot, if there is another place. */
  draining(now: number, draining: Draining): void {
    if (this.live !== undefined) this.#beside.draining(now, draining, this.live.address);
  }

  /**
   * The network may have changed or the page woke up: tries at once when disconnected; when connected, asks for a sign of
   * life and (`moved`) opens a second link beside the first.
   */
  wake(now: number, moved: boolean): void {
    if (this.#waits.retryAt !== undefined) this.#begin(now);
    else if (this.live !== undefined) {
      this.clock.probe(now);
      if (moved && this.#beside.again(now, this.live.address)) this.tokens.prepare(now);
    }
  }

  /** Whether the browser says that there is a network at all. */
  online(online: boolean): void {
    this.#beside.online = online;
  }

  hidden(now: number, hidden: boolean): void {
    this.#waits.hidden(now, hidden);
    if (!hidden) this.wake(now, false);
  }

  tick(now: number): void {
    const { ended, late } = this.#reach.tick(now);
    if (late !== undefined) this.#dialLost(now, late, { code: Code.TIMEOUT, reason: 'no welcome in time' });
    this.#roundOver(now, ended);
    if (this.tokens.tick(now)) this.tokenFailed(now, 'getToken did not answer in time', false);
    if (this.clock.tick(now) && this.live !== undefined) {
      this.#lost(now, { code: Code.TIMEOUT, reason: 'the server fell silent' });
    }
    this.#status.tick(now, this.#waits.retryAt);
    if (this.live !== undefined && this.#beside.tick(now, this.live.address, this.clock))
      this.tokens.prepare(now);
    if (this.#waits.isDue(now)) this.#begin(now);
  }

  deadline(now: number): number | undefined {
    const { live, clock } = this;
    const beside = live === undefined ? undefined : this.#beside.deadline(live.address, clock);
    const own = earlier(earlier(this.#reach.deadline(), this.#waits.deadline(now)), this.#status.deadline());
    return earlier(earlier(own, beside), earlier(this.tokens.deadline(), clock.deadline()));
  }

  #begin(now: number): void {
    this.#waits.retryAt = undefined;
    const addresses = this.#endpoints.round();
    if (addresses.length === 0) {
      this.#finish('failed', { code: Code.UNREACHABLE, reason: 'no endpoint was given' });
      return;
    }
    this.#reach.begin(now, 'connect', addresses, { failures: this.#waits.failures });
    this.tokens.prepare(now);
  }

  get #mayGreet(): boolean {
    const awaited = this.tokens.pending;
    if (awaited === 'connect' || awaited === 'revoked') return false;
    return this.tokens.current !== undefined || this.#session.saved !== undefined;
  }

  #ended(now: number, link: number, cause: Cause): void {
    if (this.#reach.find(link) !== undefined) {
      this.#dialLost(now, link, cause);
      return;
    }
    if (this.live?.link !== link) return;
    const gaveWay = cause.code === Code.REPLACED || isRedirect(cause.code);
    // The hello that is under way has probably caused it, and is about to be answered.
    if (this.#reach.greets && (gaveWay || this.#handover !== undefined)) this.#handover ??= cause;
    else this.#lost(now, cause);
  }

  /** One dial of the round ended; the round goes on if there is anything left in it. */
  #dialLost(now: number, link: number, cause: Cause): void {
    this.#out.push({ type: 'hangUp', link, code: 0, reason: '' });
    if (this.#reach.greeted === link && isLocal(cause.code)) this.#stray.givenUp(now);
    const named = this.#endpoints.named(cause.endpoint);
    const ended = this.#reach.lost(now, link, cause, named, this.#mayGreet);
    const purpose = ended?.purpose ?? this.#reach.purpose;
    const token = isTokenCode(cause.code);
    if (!token && !isTerminal(cause.code)) {
      this.#roundOver(now, ended);
      return;
    }
    // Every other node would say the same.
    this.#reach.end();
    if (token && this.#refusedToken(now, cause)) return;
    if (purpose === 'connect') this.#finish('failed', cause);
    else if (this.#handover !== undefined) this.#lost(now, this.#handover);
  }

  /** Every address had its turn. */
  #roundOver(now: number, ended: Ended): void {
    if (ended === undefined) return;
    if (ended.unanswered) this.#stray.givenUp(now);
    const { cause, silent } = ended.outcome;
    this.#endpoints.failed(silent);
    if (this.live === undefined) this.#retry(now, cause);
    else if (this.#handover !== undefined) this.#lost(now, this.#handover);
    else this.#beside.refused(now, ended.purpose, cause.retryAfterMs ?? 0);
  }

  #lost(now: number, why: Cause): void {
    if (this.live === undefined) return;
    const moving = this.#reach.purpose !== undefined;
    const byItself = why.code === Code.REPLACED && (this.#reach.greets || this.#stray.tookIt(now));
    const cause = byItself ? { code: Code.TRANSPORT_CLOSED, reason: why.reason } : why;
    const window = this.live.welcome.limits.resumeWindowMs;
    this.#waits.lost(now, this.live.since);
    this.#out.push({ type: 'hangUp', link: this.live.link, code: 0, reason: '' });
    this.live = this.#out.link = this.#handover = undefined;
    this.#beside.stop();
    this.clock.stop();
    this.tokens.rest();
    this.#parent.lost();
    this.#status.lost(now, window);
    const named = this.#endpoints.named(cause.endpoint);
    if (moving) this.#reach.promote(now, named);
    if (this.#refusedToken(now, cause)) this.#status.change('reconnecting', cause);
    else if (isTerminal(cause.code)) this.#finish('failed', cause);
    else if (moving) this.#status.change('reconnecting', cause);
    else if (this.#waits.movesAtOnce(cause.code)) {
      this.#endpoints.leave();
      this.#endpoints.aim(named);
      this.#wait(now, cause, cause.retryAfterMs ?? 0);
    } else this.#retry(now, cause, !isRedirect(cause.code));
  }

  /** A token that was refused is replaced once, at once. */
  #refusedToken(now: number, cause: Cause): boolean {
    if (!isTokenCode(cause.code)) return false;
    if (this.tokens.current === undefined) {
      // Only the resume token was shown, and it is worth nothing any more.
      this.#session.forget();
      if (this.live === undefined) this.#retry(now, cause);
      return true;
    }
    if (!this.tokens.refused(now)) return false;
    if (this.live === undefined && this.#reach.purpose === undefined) this.#begin(now);
    return true;
  }

  /** Tries again after a drawn wait: soon where another node may take over in a moment and nobody asks for rest. */
  #retry(now: number, cause: Cause, soon = true): void {
    const pair = soon && this.#endpoints.areSeveral;
    this.#wait(now, cause, this.#waits.draw(cause, pair, this.#entropy.unit()));
  }

  #wait(now: number, cause: Cause, delay: number): void {
    this.#waits.retryAt = now + delay;
    this.#status.change(this.state === 'connected' ? 'reconnecting' : this.state, cause, delay);
  }

  #finish(state: 'closed' | 'failed', cause: Cause): void {
    this.#reach.end();
    const { live } = this;
    const wasLive = live !== undefined;
    if (wasLive) this.#out.push({ type: 'hangUp', link: live.link, code: 0, reason: '' });
    this.live = this.#out.link = undefined;
    this.#waits.retryAt = this.#handover = undefined;
    this.#beside.stop();
    this.clock.stop();
    this.tokens.rest();
    if (wasLive) this.#parent.lost();
    this.#parent.ended(this.#status.finish(cause));
    this.#status.change(state, cause);
  }

  #life(now: number, expiresMs: number, serverTimeMs: number): void {
    this.tokens.accepted(now, expiresMs === 0 ? undefined : expiresMs - serverTimeMs);
  }
}
