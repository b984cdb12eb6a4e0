// The film of a session: which events are on screen at a moment, where the marks on the time line
// are, and how pauses are shortened. Pure functions of the events.
import type { RecordingEvent } from '../api/types';

export const IDLE_MAX_S = 2;

// Times of the events when no pause is longer than `idleMax`. Times never go back.
export function shortened(times: number[], idleMax: number): number[] {
  let shift = 0;
  let before = 0;
  return times.map((time) => {
    const t = Math.max(time, before);
    if (t - before > idleMax) shift += t - before - idleMax;
    before = t;
    return t - shift;
  });
}

// The time of the recording that position `at` of the film stands for: pauses that were shortened
// pass at once.
export function recordedTime(raw: number[], times: number[], at: number): number {
  const index = countAt(times, at) - 1;
  if (index < 0) return Math.min(at, raw[0] ?? 0);
  const since = (raw[index] as number) + Math.max(0, at - (times[index] as number));
  return Math.min(since, raw[index + 1] ?? Math.max(raw[index] as number, 0));
}

// How many of the events have happened at `at`; `times` ascends.
export function countAt(times: number[], at: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

export type MarkKind = 'statement' | 'held' | 'denied' | 'error';

export interface Mark {
  index: number;
  kind: MarkKind;
}

export function marksOf(events: RecordingEvent[]): Mark[] {
  const marks: Mark[] = [];
  events.forEach((event, index) => {
    if (event.kind === 'statement') {
      const verdict = event.verdict ?? '';
      marks.push({ index, kind: verdict === 'deny' ? 'denied' : verdict === 'step_up' ? 'held' : 'statement' });
    } else if (event.kind === 'outcome' && event.error) {
      marks.push({ index, kind: 'error' });
    }
  });
  return marks;
}

function textOf(event: RecordingEvent): string {
  const parts = [event.text, event.rule, event.by, event.error, event.data, event.limit];
  if (Array.isArray(event.rows)) parts.push(event.rows.map((row) => row.join(' ')).join(' '));
  if (event.columns) parts.push(event.columns.map((c) => (typeof c === 'string' ? c : c.name)).join(' '));
  for (const bind of event.binds ?? []) parts.push(bind.text);
  return parts.filter((part) => part).join(' ').toLowerCase();
}

// Indexes of the events in which every word of `query` occurs.
export function searchEvents(events: RecordingEvent[], query: string): number[] {
  const words = query.toLowerCase().split(/\s+/).filter((word) => word !== '');
  if (words.length === 0) return [];
  const found: number[] = [];
  events.forEach((event, index) => {
    const text = textOf(event);
    if (words.every((word) => text.includes(word))) found.push(index);
  });
  return found;
}
