/**
 * Which hosts a server may send a client to. A node names its peer, and the client shows its token there: so it follows
 * only to hosts that the application's own choice covers, whatever certificate they show.
 *
 * Covered are the given hosts and their siblings (`a.chat.example.org` and `b.chat.example.org`: the same name but for the
 * first label, with two labels left at least; names without a dot; loopback addresses), and what the application lists.
 */

/** Whether a client of the hosts `given` may follow to `host`; `also` are hosts that the application lists. */
export function covers(given: readonly string[], also: readonly string[], host: string): boolean {
  const name = plain(host);
  if (name === '') return false;
  return also.some(one => plain(one) === name) || given.some(one => related(plain(one), name));
}

function related(known: string, host: string): boolean {
  if (known === host || (isLoopback(known) && isLoopback(host))) return true;
  if (isAddress(known) || isAddress(host)) return false;
  const [, parent] = split(known);
  const [, other] = split(host);
  if (parent === undefined || other === undefined) return parent === other;
  return parent.includes('.') && parent === other;
}

function split(name: string): [string, string | undefined] {
  const dot = name.indexOf('.');
  return dot < 0 ? [name, undefined] : [name.slice(0, dot), name.slice(dot + 1)];
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function isAddress(host: string): boolean {
  return host.includes(':') || /^\d+\.\d+\.\d+\.\d+$/.test(host);
}

function plain(host: string): string {
  return host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
}
