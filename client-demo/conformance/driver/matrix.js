/** Which laws run on which lanes, and what came of it, as a table of clauses by lane. */
import { LANES } from './lanes.js';

/** All cells; those that do not apply are `skipped`, with the reason. */
export function cells(laws, lanes, { full, only, lane: part }) {
  const wanted = laws.filter(({ name }) => only === undefined || name.includes(only));
  return wanted.flatMap(law => {
    return lanes
      .filter(lane => part === undefined || lane.includes(part))
      .filter(lane => full || part !== undefined || !LANES[lane].full)
      .map(lane => {
        const skipped = reason(law, lane) ?? (law.full && !full ? 'in the full run' : undefined);
        return { law, lane, skipped };
      });
  });
}

/** Why a law says nothing about a lane; nothing if it does. */
function reason({ except, only }, lane) {
  const { host, transport, udp, requests } = LANES[lane];
  if (only !== undefined && !only.includes(lane)) return `only ${only.join(', ')}`;
  return (
    except[lane] ??
    except[host] ??
    except[transport] ??
    (requests ? except.requests : undefined) ??
    except[udp ? 'udp' : 'tcp']
  );
}

/** The table: a clause passes on a lane when every law that names it passed there. */
export function matrix(results, lanes) {
  const shown = lanes.filter(lane => results.some(result => result.lane === lane));
  const clauses = [...new Set(results.flatMap(({ law }) => law.clauses))].sort(byNumber);
  const notes = new Map();
  const row = clause => {
    const said = shown.map(lane => {
      const about = results.filter(result => result.lane === lane && result.law.clauses.includes(clause));
      if (about.some(({ error }) => error !== undefined)) return 'FAIL';
      if (about.some(({ passed }) => passed)) return 'PASS';
      const [{ skipped } = {}] = about;
      if (!notes.has(skipped)) notes.set(skipped, notes.size + 1);
      return `—${notes.get(skipped)}`;
    });
    return [clause, ...said];
  };
  const rows = [['clause', ...shown], ...clauses.map(row)];
  const widths = rows[0].map((_, i) => Math.max(...rows.map(cells => cells[i].length)));
  const table = rows.map(cells =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('  ')
      .trimEnd(),
  );
  return [...table, '', ...[...notes].map(([text, number]) => `—${number} ${text}`)].join('\n');
}

/** The first line of what went wrong. */
export function why(error) {
  return String(error?.message ?? error)
    .split('\n')
    .slice(0, 8)
    .join('\n       ');
}

function byNumber(a, b) {
  return a.localeCompare(b, 'en', { numeric: true });
}
