// A session's events as what went over the wire, in reading order: statement, decision, rows,
// outcome. The same for a replay and for a session watched live.
import { useEffect, useRef } from 'preact/hooks';
import type { Cell, RecordingEvent } from '../api/types';
import { bytes, count, plural } from '../lib/numbers';
import { clock, duration } from '../lib/time';
import { Scroll, Text, Verdict } from './basics';
import { CellText } from './preview';
import { Binds, Sql } from './statement';

// How many of the last events are drawn: a film of any length stays quick.
const DRAWN = 300;
const ROWS_DRAWN = 50;

function columnName(column: { name: string } | string): string {
  return typeof column === 'string' ? column : column.name;
}

function Rows({ rows, columns }: { rows: Cell[][]; columns: string[] }) {
  return (
    <Scroll label="rows">
      <table class="sample">
        {columns.length > 0 && (
          <thead>
            <tr>
              {columns.map((name, index) => (
                <th scope="col" key={index}>
                  <Text>{name}</Text>
                </th>
              ))}
            </tr>
          </thead>
        )}
        <tbody>
          {rows.slice(0, ROWS_DRAWN).map((row, index) => (
            <tr key={index}>
              {row.map((cell, c) => (
                <td key={c}>
                  <CellText value={cell} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > ROWS_DRAWN && <p class="hint">and {plural(rows.length - ROWS_DRAWN, 'row')} more</p>}
    </Scroll>
  );
}

function Outcome({ event }: { event: RecordingEvent }) {
  const rows = typeof event.rows === 'number' ? plural(event.rows, 'row') : '';
  const parts = [
    rows,
    event.bytes ? bytes(event.bytes) : '',
    event.duration_ms !== undefined && event.duration_ms !== null ? duration(event.duration_ms / 1000) : '',
    event.masked ? (typeof event.masked === 'number' ? `${count(event.masked)} values masked` : `masked: ${event.masked}`) : '',
    event.limit ? `ended by the limit ${event.limit}` : '',
  ].filter((part) => part !== '');
  return (
    <p class={event.error ? 'film-error' : 'film-note'}>
      {event.error && (
        <>
          {'error '}
          <Text>{event.error}</Text>
          {parts.length > 0 && ' · '}
        </>
      )}
      {parts.join(' · ') || (event.error ? '' : 'done')}
    </p>
  );
}

function EventBody({ event, columns }: { event: RecordingEvent; columns: string[] }) {
  switch (event.kind) {
    case 'statement':
      return (
        <div class="film-statement">
          <pre>
            <code>
              <Sql text={event.text ?? ''} />
            </code>
          </pre>
          {event.binds && event.binds.length > 0 && <Binds binds={event.binds} />}
          <p class="film-note">
            <Verdict value={event.verdict} />
            {event.rule && (
              <>
                {' by '}
                <Text>{event.rule}</Text>
              </>
            )}
          </p>
        </div>
      );
    case 'decision':
      return (
        <p class="film-decision">
          <Verdict value={event.verdict ?? 'decided'} />
          {event.by && (
            <>
              {' by '}
              <strong>
                <Text>{event.by}</Text>
              </strong>
            </>
          )}
          {event.text && (
            <>
              {': '}
              <Text>{event.text}</Text>
            </>
          )}
        </p>
      );
    case 'columns':
      return columns.length === 0 ? null : null;
    case 'rows':
      return Array.isArray(event.rows) ? <Rows rows={event.rows} columns={columns} /> : null;
    case 'outcome':
      return <Outcome event={event} />;
    case 'output':
    case 'input':
      return (
        <pre class={`film-${event.kind}`}>
          <Text>{event.data ?? event.text}</Text>
        </pre>
      );
    case 'opened':
    case 'closed':
    default:
      return (
        <p class="film-note">
          {event.kind === 'note' ? '' : `${event.kind}${event.text ? ': ' : ''}`}
          <Text>{event.text}</Text>
        </p>
      );
  }
}

// The names of the columns that the rows at `index` have.
function columnsBefore(events: RecordingEvent[], index: number): string[] {
  for (let i = index - 1; i >= 0 && index - i < 200; i -= 1) {
    const event = events[i];
    if (event?.kind === 'columns') return (event.columns ?? []).map(columnName);
    if (event?.kind === 'statement') return [];
  }
  return [];
}

export function Film({ events, until, follow, found, label }: { events: RecordingEvent[]; until: number; follow: boolean; found?: Set<number>; label: string }) {
  const screen = useRef<HTMLDivElement>(null);
  const from = Math.max(0, until - DRAWN);
  useEffect(() => {
    const element = screen.current;
    if (follow && element) element.scrollTop = element.scrollHeight;
  }, [until, follow, events]);
  const shown: { event: RecordingEvent; index: number }[] = [];
  for (let index = from; index < until; index += 1) {
    const event = events[index];
    if (event !== undefined && event.kind !== 'columns' && event.kind !== 'resize') shown.push({ event, index });
  }
  return (
    <div class="film" ref={screen} tabIndex={0} role="region" aria-label={label}>
      {from > 0 && <p class="film-note">… {plural(from, 'earlier event')} not drawn; go back in time to see them</p>}
      {shown.map(({ event, index }) => (
        <div key={index} class={`film-event film-is-${event.kind}${found?.has(index) ? ' is-found' : ''}`}>
          <span class="film-time">{clock(event.t)}</span>
          <EventBody event={event} columns={event.kind === 'rows' ? columnsBefore(events, index) : []} />
        </div>
      ))}
      {shown.length === 0 && <p class="film-note">nothing yet</p>}
    </div>
  );
}
