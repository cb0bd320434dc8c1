/** The messages of one conversation as its reader would have them, and whether any came twice or out of place. */
export class Log {
  #ids = new Map();
  #created = new Set();
  #last = 0;
  #wrong = 0;

  /** A subscription begins anew. */
  again() {
    this.#created.clear();
    this.#last = 0;
  }

  /** A message was told for the first time; `seq` is unknown for a local echo. */
  created(id, seq) {
    if (this.#created.has(id)) this.#wrong += 1;
    this.#created.add(id);
    if (seq === undefined) return;
    if (seq <= this.#last) this.#wrong += 1;
    this.#last = Math.max(this.#last, seq);
    this.placed(id, seq);
  }

  /** A message has this place. */
  placed(id, seq) {
    if (this.#ids.has(seq) && this.#ids.get(seq) !== id) this.#wrong += 1;
    this.#ids.set(seq, id);
  }

  value() {
    const ids = [...this.#ids].sort(([a], [b]) => a - b);
    return { ids, wrong: this.#wrong };
  }
}
