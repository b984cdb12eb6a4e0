// How long to wait before the next try of a connection that broke: doubling, at most 15 s, and
// between half and all of that by chance, so that a thousand consoles do not come back at once.
export const BACKOFF_MAX_MS = 15_000;

export function backoffMs(failures: number, random: () => number = Math.random): number {
  const ceiling = Math.min(BACKOFF_MAX_MS, 500 * 2 ** Math.min(Math.max(failures, 0), 10));
  return Math.round(ceiling * (0.5 + random() / 2));
}
