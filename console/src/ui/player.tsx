// Plays a recording like a film: play, pause, speed, seek, search.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Problem, messageOf, post } from '../api/client';
import type { RecordingEvent, Replay } from '../api/types';
import { plural } from '../lib/numbers';
import { countAt, IDLE_MAX_S, marksOf, recordedTime, searchEvents, shortened } from '../lib/replay';
import { clock } from '../lib/time';
import { Text } from './basics';
import { Film } from './film';
import { useKeys } from './hooks';

const SPEEDS = [0.5, 1, 2, 4, 8, 16];
const PAGE_EVENTS = 1000;
const EVENTS_MAX = 200_000;

// Reads a recording page by page; what has come is there to be played at once.
export function useRecording(session: string, reason: string): { events: RecordingEvent[]; complete: boolean; error: string } {
  const [state, setState] = useState<{ events: RecordingEvent[]; complete: boolean; error: string }>({ events: [], complete: false, error: '' });
  useEffect(() => {
    let stop = false;
    const read = async (): Promise<void> => {
      const all: RecordingEvent[] = [];
      let query: Record<string, string | number> = {};
      while (!stop) {
        const page: Replay = await post(`/v1/sessions/${encodeURIComponent(session)}/replay`, { reason }, { limit: PAGE_EVENTS, ...query });
        for (const event of page.events) all.push(event);
        const next: unknown = page.next;
        const more = next !== null && next !== undefined && page.events.length > 0 && all.length < EVENTS_MAX;
        if (!stop) setState({ events: all.slice(), complete: !more, error: '' });
        if (!more) return;
        query = typeof next === 'object' ? (next as Record<string, number>) : { from: next as number };
      }
    };
    read().catch((error: unknown) => {
      if (!stop) setState((old) => ({ ...old, complete: true, error: error instanceof Problem || error instanceof Error ? messageOf(error) : String(error) }));
    });
    return () => {
      stop = true;
    };
  }, [session, reason]);
  return state;
}

function Timeline({ events, times, end, at, found, onSeek }: { events: RecordingEvent[]; times: number[]; end: number; at: number; found: Set<number>; onSeek: (t: number) => void }) {
  const marks = useMemo(() => marksOf(events), [events]);
  const x = (t: number): number => (end <= 0 ? 0 : (t / end) * 1000);
  return (
    <div class="timeline">
      <svg viewBox="0 0 1000 24" preserveAspectRatio="none" aria-hidden="true">
        <rect class="timeline-played" x="0" y="10" width={Math.max(0, x(at))} height="4" />
        {marks.map(({ index, kind }) => (
          <rect key={index} class={`timeline-${kind}`} x={x(times[index] ?? 0)} y={kind === 'statement' ? 6 : 2} width="2.5" height={kind === 'statement' ? 12 : 20} />
        ))}
        {[...found].map((index) => (
          <rect key={`f${index}`} class="timeline-found" x={x(times[index] ?? 0)} y="0" width="3" height="24" />
        ))}
      </svg>
      <input
        type="range"
        min={0}
        max={Math.max(end, 0.001)}
        step="any"
        value={at}
        aria-label="position in the recording"
        aria-valuetext={`event ${countAt(times, at)} of ${events.length}`}
        onInput={(event) => onSeek(Number(event.currentTarget.value))}
      />
    </div>
  );
}

export function Player({ session, reason }: { session: string; reason: string }) {
  const { events, complete, error } = useRecording(session, reason);
  const [at, setAt] = useState(0);
  const [playing, setPlaying] = useState(true);
  const [speed, setSpeed] = useState(1);
  const [skipIdle, setSkipIdle] = useState(true);
  const [query, setQuery] = useState('');

  const raw = useMemo(() => events.map((event) => event.t), [events]);
  const times = useMemo(() => shortened(raw, skipIdle ? IDLE_MAX_S : Infinity), [raw, skipIdle]);
  const end = times[times.length - 1] ?? 0;
  const until = countAt(times, at);
  const hits = useMemo(() => searchEvents(events, query), [events, query]);
  const found = useMemo(() => new Set(hits), [hits]);

  const clockRef = useRef(at);
  clockRef.current = at;
  useEffect(() => {
    if (!playing || events.length === 0) return undefined;
    let before = performance.now();
    const timer = setInterval(() => {
      const time = performance.now();
      const next = clockRef.current + ((time - before) / 1000) * speed;
      before = time;
      if (next >= end) {
        setAt(end);
        if (complete) setPlaying(false);
      } else {
        setAt(next);
      }
    }, 50);
    return () => clearInterval(timer);
  }, [playing, speed, end, complete, events.length === 0]);

  const seek = (t: number): void => setAt(Math.min(end, Math.max(0, t)));
  const toggle = (): void => {
    if (!playing && at >= end) setAt(0);
    setPlaying(!playing);
  };
  // The next find; without a search, the next statement.
  const stops = query.trim() !== '' ? hits : marksOf(events).map((mark) => mark.index);
  const jump = (step: number): void => {
    const here = until - 1;
    const target = step > 0 ? stops.find((index) => index > here) : [...stops].reverse().find((index) => index < here);
    if (target !== undefined) {
      setPlaying(false);
      seek(times[target] ?? 0);
    }
  };
  const changeIdle = (): void => {
    // Stay at the same event, whose time changes.
    const index = Math.max(0, until - 1);
    const fresh = shortened(raw, skipIdle ? Infinity : IDLE_MAX_S);
    setSkipIdle(!skipIdle);
    setAt(fresh[index] ?? 0);
  };
  useKeys({
    ' ': toggle,
    ArrowLeft: () => seek(at - 5),
    ArrowRight: () => seek(at + 5),
    Home: () => seek(0),
    End: () => seek(end),
    n: () => jump(1),
    p: () => jump(-1),
  });

  const place = useRef<HTMLDivElement>(null);
  useEffect(() => place.current?.scrollIntoView({ block: 'nearest' }), [events.length === 0]);

  return (
    <div class="player" ref={place}>
      {error !== '' && (
        <p class="state state-bad" role="alert">
          <strong>The recording cannot be read{events.length > 0 ? ' to its end' : ''}.</strong> <Text>{error}</Text>
        </p>
      )}
      <Film events={events} until={until} follow found={found} label="replay" />
      <Timeline events={events} times={times} end={end} at={Math.min(at, end)} found={found} onSeek={seek} />
      <div class="player-bar">
        <button type="button" class="primary" onClick={toggle}>
          {playing ? 'Pause' : 'Play'}
        </button>
        <button type="button" onClick={() => jump(-1)} aria-label="previous find or statement">
          Previous
        </button>
        <button type="button" onClick={() => jump(1)} aria-label="next find or statement">
          Next
        </button>
        <span class="player-clock mono">
          {clock(recordedTime(raw, times, at))} / {clock(raw[raw.length - 1] ?? 0)}
        </span>
        <label>
          Speed{' '}
          <select value={String(speed)} onChange={(event) => setSpeed(Number(event.currentTarget.value))}>
            {SPEEDS.map((value) => (
              <option key={value} value={String(value)}>
                {value}×
              </option>
            ))}
          </select>
        </label>
        <label class="check">
          <input type="checkbox" checked={skipIdle} onChange={changeIdle} /> shorten pauses
        </label>
        <label class="grow">
          <span class="hidden">Search in the recording</span>
          <input type="search" data-search placeholder="Search in the recording" value={query} onInput={(event) => setQuery(event.currentTarget.value)} />
        </label>
        <span class="hint" role="status">
          {query.trim() !== '' ? `${plural(hits.length, 'find')}; n and p go through them` : complete ? plural(events.length, 'event') : `${plural(events.length, 'event')}, reading on …`}
        </span>
      </div>
    </div>
  );
}
