/**
 * How a scenario is written down: a law's name, the clauses of docs/sdk-spec.md that it holds, where it applies, and what happens.
 *
 * `options`: `settings` of the server; `except` lanes or hosts with the reason why not; `only` a list of them; `full` keeps it out of the
 * short run, because it takes long.
 */
export function law(name, clauses, options, run) {
  return { name, clauses, settings: [], except: {}, full: false, ...options, run };
}

/** Texts that are told apart. */
export function texts(count, word = 'line') {
  return Array.from({ length: count }, (_, i) => `${word} ${i + 1}`);
}
