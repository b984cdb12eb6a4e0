import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecordingEvent } from '../../../console/src/api/types';
import { backoffMs } from '../../../console/src/lib/backoff';
import { layoutGraph } from '../../../console/src/lib/graph';
import { bytes, niceCeiling, plural } from '../../../console/src/lib/numbers';
import { countAt, marksOf, recordedTime, searchEvents, shortened } from '../../../console/src/lib/replay';
import { parsePath, safeReturn } from '../../../console/src/lib/router';
import { diffSamples } from '../../../console/src/lib/sample';
import { ago, clock, duration, fromLocalInput, localTime, noteServerDate, now, toLocalInput, utcTime } from '../../../console/src/lib/time';

test('a connection that keeps failing is tried ever more rarely, at most each 15 s, never all at once', () => {
  for (let failures = 0; failures < 40; failures += 1) {
    const [least, most] = [backoffMs(failures, () => 0), backoffMs(failures, () => 1)];
    assert.ok(least >= 250 && most <= 15_000 && least < most);
    if (failures > 0) assert.ok(most >= backoffMs(failures - 1, () => 1));
  }
  assert.equal(backoffMs(1000, () => 1), 15_000);
});

test('times are local, with UTC beside them', () => {
  process.env['TZ'] = 'Europe/Berlin';
  assert.equal(localTime('2026-07-01T10:00:05.000123Z'), '2026-07-01 12:00:05');
  assert.equal(localTime('2026-12-01T23:30:00Z'), '2026-12-02 00:30:00');
  assert.equal(utcTime('2026-07-01T10:00:05.000123Z'), '2026-07-01 10:00:05.000123 UTC');
  assert.equal(localTime('nonsense'), 'nonsense');
  assert.equal(fromLocalInput('2026-07-01T12:00'), '2026-07-01T10:00:00.000Z');
  assert.equal(toLocalInput('2026-07-01T10:00:00.000Z'), '2026-07-01T12:00');
  assert.equal(fromLocalInput(''), '');
});

test('durations and clocks', () => {
  assert.deepEqual([0, 0.012, 1.25, 59.6, 60, 125, 3600, 3661, 200_000].map(duration), ['0 s', '12 ms', '1.3 s', '1 min', '1 min', '2 min 5 s', '1 h', '1 h 1 min', '2 days']);
  assert.deepEqual([-3, 0, 9.9, 61, 3723].map(clock), ['0:00', '0:00', '0:09', '1:01', '1:02:03']);
  assert.equal(ago('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:03:00Z')), '3 min ago');
});

test("a browser's clock that is wrong does not lengthen a request's time", () => {
  const received = Date.now();
  noteServerDate(new Date(received + 90_000).toUTCString(), received);
  assert.ok(Math.abs(now() - Date.now() - 90_000) < 1600);
  noteServerDate(new Date(received).toUTCString(), received);
  assert.ok(Math.abs(now() - Date.now()) < 1600);
  noteServerDate('rubbish');
  assert.ok(Math.abs(now() - Date.now()) < 1600);
});

test('numbers', () => {
  assert.equal(bytes(1536), '1.5 KiB');
  assert.equal(bytes(5 << 20), '5.0 MiB');
  assert.equal(plural(1, 'row'), '1 row');
  assert.equal(plural(1284, 'row'), '1,284 rows');
  for (const value of [0, 1, 2, 9, 10, 11, 279, 999, 123_456]) assert.ok(niceCeiling(value) >= value && niceCeiling(value) <= Math.max(1, value * 2));
});

test('paths are pages', () => {
  assert.deepEqual(parsePath('/'), { page: 'approvals' });
  assert.deepEqual(parsePath('/approvals/abc'), { page: 'approvals', id: 'abc' });
  assert.deepEqual(parsePath('/login/token'), { page: 'token' });
  for (const path of ['/approvals/a/b', '/nowhere', '/resources/x', '/approvals/%']) assert.deepEqual(parsePath(path), { page: 'missing' });
});

test('a login returns to pages of the console only', () => {
  assert.equal(safeReturn('/approvals/abc?view=history'), '/approvals/abc?view=history');
  for (const path of [null, '', 'https://evil.example/', '//evil.example/approvals', '/\\evil.example', '/v1/logout', '/login/token', '/nowhere', 'javascript:alert(1)']) assert.equal(safeReturn(path), null);
});

test('rows before and after are paired, removed or added', () => {
  const before = { columns: ['id', 'state'], rows: [[1, 'open'], [2, null]] };
  const update = diffSamples(before, { columns: ['id', 'state'], rows: [[1, 'done'], [2, null]] });
  assert.deepEqual(update.rows.map((row) => row.kind), ['changed', 'same']);
  assert.deepEqual(update.rows[0]?.cells.map((cell) => cell.changed), [false, true]);
  assert.deepEqual(diffSamples(before, { columns: [], rows: [] }).rows.map((row) => row.kind), ['removed', 'removed']);
  assert.deepEqual(diffSamples(null, { columns: [{ name: 'id' }], rows: [[3]] }).rows.map((row) => row.kind), ['added']);
  assert.deepEqual(diffSamples(null, null).rows, []);
});

const FILM: RecordingEvent[] = [
  { t: 0, kind: 'opened' },
  { t: 1, kind: 'statement', text: 'select name from people', verdict: 'allow' },
  { t: 1.5, kind: 'rows', rows: [['Ada', 1]] },
  { t: 61.5, kind: 'statement', text: 'drop table people', verdict: 'deny' },
  { t: 61.6, kind: 'outcome', error: '42501' },
];

test('the film: pauses are shortened, order is kept, and what is on screen is found by time', () => {
  const raw = FILM.map((event) => event.t);
  const times = shortened(raw, 2);
  assert.deepEqual(times.map((t) => Math.round(t * 10) / 10), [0, 1, 1.5, 3.5, 3.6]);
  assert.deepEqual(shortened([0, 5, 3, 9], Infinity), [0, 5, 5, 9]);
  assert.deepEqual([-1, 0, 1, 2, 99].map((at) => countAt(times, at)), [0, 1, 2, 3, 5]);
  assert.equal(recordedTime(raw, times, 3.5), 61.5);
  assert.equal(recordedTime(raw, times, 1.25), 1.25);
  assert.equal(recordedTime(raw, times, 50), 61.6);
  assert.equal(recordedTime([], [], 3), 0);
});

test('the film: marks and search', () => {
  assert.deepEqual(marksOf(FILM), [{ index: 1, kind: 'statement' }, { index: 3, kind: 'denied' }, { index: 4, kind: 'error' }]);
  assert.deepEqual(searchEvents(FILM, 'people'), [1, 3]);
  assert.deepEqual(searchEvents(FILM, ' PEOPLE drop '), [3]);
  assert.deepEqual(searchEvents(FILM, 'ada'), [2]);
  assert.deepEqual(searchEvents(FILM, '   '), []);
});

test('the graph keeps every edge apart and shows rare ones too', () => {
  const layout = layoutGraph({
    nodes: [{ id: 'a', kind: 'identity' }, { id: 'b', kind: 'identity' }, { id: 'r', kind: 'resource' }],
    edges: [{ identity: 'a', resource: 'r', commands: 100_000, refused: 1, rows: 0 }, { identity: 'b', resource: 'r', commands: 1, refused: 1, rows: 0 }, { identity: 'gone', resource: 'r', commands: 5, refused: 0, rows: 0 }],
    series: [],
  });
  assert.equal(layout.edges.length, 2);
  assert.ok(layout.edges.every((edge) => edge.width >= 1.5 && edge.refusedWidth > 0 && edge.refusedWidth <= edge.width));
  const [first, second] = layout.edges;
  assert.ok(first && second && Math.abs(first.toY - second.toY) >= (first.width + second.width) / 2 - 0.01);
});
