/**
 * Events for the application: in order, one at a time, never inside a call of the application. A listener that throws does not
 * stop the others; its error is reported like any uncaught one.
 */

/** Listeners by event name, and the events that wait to be told. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(data: never) => void>>();
  #queue: (() => void)[] = [];
  #scheduled = false;

  on<K extends keyof Events>(event: K, listener: (data: Events[K]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners);
    listeners.add(listener);
    return () => {
      this.off(event, listener);
    };
  }

  once<K extends keyof Events>(event: K, listener: (data: Events[K]) => void): () => void {
    const stop = this.on(event, data => {
      stop();
      listener(data);
    });
    return stop;
  }

  off<K extends keyof Events>(event: K, listener: (data: Events[K]) => void): void {
    this.#listeners.get(event)?.delete(listener);
  }

  /** Tells the listeners of the moment at which the event's turn comes, which is after the present call. */
  emit<K extends keyof Events>(event: K, data: Events[K]): void {
    this.#queue.push(() => {
      for (const listener of [...(this.#listeners.get(event) ?? [])] as ((data: Events[K]) => void)[]) {
        guarded(listener, data);
      }
    });
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#drain();
    });
  }

  #drain(): void {
    for (let tell = this.#queue.shift(); tell !== undefined; tell = this.#queue.shift()) tell();
    this.#scheduled = false;
  }
}

function guarded<T>(listener: (data: T) => void, data: T): void {
  try {
    listener(data);
  } catch (error) {
    // As an uncaught error of its own, so that the application's own reporting sees it.
    setTimeout(() => {
      throw error;
    });
  }
}
