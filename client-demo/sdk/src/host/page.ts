/**
 * What a page tells about itself: network, visibility, the user's hands, its end. Outside a page (Node, workers) there is nothing
 * to tell.
 */

/** Without a touch of keyboard, pointer or screen for this long the user counts as idle, milliseconds. */
const IDLE_AFTER_MS = 300_000;
/** Moves of a pointer are looked at no more often than this, milliseconds. */
const TOUCH_EVERY_MS = 1_000;
const TOUCHES = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'] as const;

/** What follows from what the page tells. */
export interface PageEvents {
  /** The network is back or another one. */
  readonly moved: () => void;
  /** The network has changed, and perhaps only in speed. */
  readonly shaken: () => void;
  /** Whether there is a network at all. */
  readonly online: (online: boolean) => void;
  readonly hidden: (hidden: boolean) => void;
  readonly idle: (idle: boolean) => void;
  /** The page goes away, perhaps to come back. */
  readonly leaving: () => void;
  /** It came back from the browser's cache of pages. */
  readonly back: () => void;
}

/** Listens until the returned function is called. */
export function watchPage(events: PageEvents): () => void {
  if (typeof document === 'undefined' || typeof window === 'undefined') return () => undefined;
  const stop = new AbortController();
  const options = { signal: stop.signal, passive: true } as const;
  const hands = watchHands(events, options);
  const hidden = (): void => {
    const away = document.visibilityState === 'hidden';
    events.hidden(away);
    hands.away(away);
  };
  watchNetwork(events, options);
  document.addEventListener('visibilitychange', hidden, options);
  window.addEventListener('pagehide', events.leaving, options);
  window.addEventListener(
    'pageshow',
    event => {
      if (event.persisted) events.back();
    },
    options,
  );
  if (document.visibilityState === 'hidden') hidden();
  return () => {
    stop.abort();
    hands.stop();
  };
}

/** Tells of another network; Chromium tells estimates of its speed as well, which are a reason to ask, not to move. */
function watchNetwork(events: PageEvents, options: AddEventListenerOptions): void {
  const connection = networkInformation();
  let kind = connection?.type;
  const online = (): void => {
    events.online(true);
    events.moved();
  };
  const offline = (): void => {
    events.online(false);
  };
  const changed = (): void => {
    const before = kind;
    kind = connection?.type;
    if (kind === before) events.shaken();
    else if (kind !== 'none') events.moved();
  };
  window.addEventListener('online', online, options);
  window.addEventListener('offline', offline, options);
  connection?.addEventListener('change', changed, options);
  if ('onLine' in navigator && !navigator.onLine) offline();
}

/** Tells that the user is there, when they go idle, and when they are back. */
function watchHands(
  events: PageEvents,
  options: AddEventListenerOptions,
): { away: (away: boolean) => void; stop: () => void } {
  let idle: boolean | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const set = (next: boolean): void => {
    if (next === idle) return;
    idle = next;
    events.idle(next);
  };
  let touchedAt = -Infinity;
  const touched = (): void => {
    const now = performance.now();
    if (idle === false && now - touchedAt < TOUCH_EVERY_MS) return;
    touchedAt = now;
    clearTimeout(timer);
    timer = setTimeout(set, IDLE_AFTER_MS, true);
    set(false);
  };
  for (const name of TOUCHES) window.addEventListener(name, touched, options);
  touched();
  return {
    away: away => {
      if (away) set(true);
      else touched();
    },
    stop: () => {
      clearTimeout(timer);
    },
  };
}

/** Chromium's Network Information, where it is; `type` only where the system tells it. */
function networkInformation(): (EventTarget & { readonly type?: string }) | undefined {
  return 'connection' in navigator && navigator.connection instanceof EventTarget
    ? navigator.connection
    : undefined;
}
