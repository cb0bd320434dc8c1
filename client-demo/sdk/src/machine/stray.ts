/**
 * Whether it was the client itself that took its session away. A hello that was given up on a slow way can reach the server
 * after the one that followed it; the server then closes the connection in use as replaced, as it would for another tab.
 */

/** For so long an abandoned hello may still arrive, milliseconds. */
const STRAY_HELLO_MS = 60_000;

/** Remembers the last hello that was given up. */
export class Stray {
  #until = -Infinity;

  /** An attempt ended after its hello and before an answer. */
  givenUp(now: number): void {
    this.#until = now + STRAY_HELLO_MS;
  }

  /** Whether a session that was taken may have been taken by that hello. Asked once: the second time it is somebody else. */
  tookIt(now: number): boolean {
    const stray = now < this.#until;
    this.#until = -Infinity;
    return stray;
  }
}
