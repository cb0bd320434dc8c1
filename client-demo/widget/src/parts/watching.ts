/** Draws an element anew when its client tells something, at most once per frame whatever the number of events. */
import type { ClientEvents, DuetClient } from '@duet/client';
import type { ReactiveController, ReactiveControllerHost } from 'lit';

const EVENTS = [
  'state',
  'message.created',
  'message.status',
  'receipt.updated',
  'typing.started',
  'typing.stopped',
  'presence.updated',
  'conversation.updated',
  'inbox.updated',
  'discontinuity',
] as const satisfies readonly (keyof ClientEvents)[];

/** Keeps a host up to date with a client. */
export class Watching implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  readonly #of: () => DuetClient | undefined;
  readonly #changed: (() => void) | undefined;
  #client: DuetClient | undefined;
  #stops: (() => void)[] = [];

  /** `of` names the client, now; `changed` is called at every event, before the host is drawn. */
  constructor(host: ReactiveControllerHost, of: () => DuetClient | undefined, changed?: () => void) {
    this.#host = host;
    this.#of = of;
    this.#changed = changed;
    host.addController(this);
  }

  hostConnected(): void {
    this.hostUpdate();
  }

  hostUpdate(): void {
    const client = this.#of();
    if (client === this.#client) return;
    this.hostDisconnected();
    this.#client = client;
    if (client === undefined) return;
    this.#stops = EVENTS.map(event =>
      client.on(event, () => {
        this.#changed?.();
        this.#host.requestUpdate();
      }),
    );
  }

  hostDisconnected(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
    this.#client = undefined;
  }
}

/** Draws an element anew every so often, for what depends on the time alone. */
export class Ticking implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  readonly #everyMs: number;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(host: ReactiveControllerHost, everyMs: number) {
    this.#host = host;
    this.#everyMs = everyMs;
    host.addController(this);
  }

  hostConnected(): void {
    this.#timer = setInterval(() => {
      if (document.visibilityState === 'visible') this.#host.requestUpdate();
    }, this.#everyMs);
  }

  hostDisconnected(): void {
    clearInterval(this.#timer);
  }
}
