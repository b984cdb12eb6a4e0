// Who touches what, and how it went over time.
import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../api/client';
import type { Overview as OverviewData } from '../api/types';
import { layoutGraph, type GraphLayout } from '../lib/graph';
import { count, niceCeiling } from '../lib/numbers';
import { localTime } from '../lib/time';
import { Empty, Failure, Link, Loading, Scroll, Section, Text } from '../ui/basics';
import { useLoad, useTitle } from '../ui/hooks';

export function Overview({ search }: { search: string }) {
  useTitle('Overview');
  const asked = Number(new URLSearchParams(search).get('days') ?? 7);
  const days = [1, 7, 30].includes(asked) ? asked : 7;
  const { data, error, loading, reload } = useLoad<OverviewData & { incomplete?: boolean }>(`overview ${days}`, (signal) => get('/v1/overview', { days }, signal));
  return (
    <div class="page">
      <header class="page-head">
        <h1>Overview</h1>
        <nav class="tabs" aria-label="how far back">
          {[1, 7, 30].map((value) => (
            <Link key={value} to={`/overview?days=${value}`} {...(value === days ? { 'aria-current': 'true' as const } : {})}>
              {value === 1 ? '24 hours' : `${value} days`}
            </Link>
          ))}
        </nav>
      </header>
      {error !== undefined && <Failure error={error} what="the overview" retry={reload} />}
      {data === undefined && loading && <Loading what="the ledger" />}
      {data?.incomplete && <p class="warning">The ledger is long: these figures do not cover all of the time asked for.</p>}
      {data !== undefined && data.edges.length === 0 && <Empty><p>Nothing has passed through in this time.</p></Empty>}
      {data !== undefined && data.edges.length > 0 && (
        <>
          <Section title="Who touches what">
            <Graph layout={layoutGraph(data)} />
            <details>
              <summary>The same as a table</summary>
              <EdgeTable data={data} />
            </details>
          </Section>
          <Section title="Over time">
            <Chart title="Commands" series={data.series} field="commands" tone="ink" />
            <Chart title="Refused" series={data.series} field="refused" tone="bad" />
            <Chart title="Held for approval" series={data.series} field="approvals" tone="warn" />
          </Section>
        </>
      )}
    </div>
  );
}

const WIDTH = 1000; // of the charts, in units of their own

// How wide an element is, in pixels: text in the graph keeps its size on every screen.
function useWidth(): [{ current: HTMLDivElement | null }, number] {
  const element = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const place = element.current;
    if (place === null) return undefined;
    const observer = new ResizeObserver(() => setWidth(Math.floor(place.clientWidth)));
    observer.observe(place);
    return () => observer.disconnect();
  }, []);
  return [element, width];
}

function shorten(text: string, max: number): string {
  const characters = Array.from(text);
  return characters.length <= max ? text : `${characters.slice(0, max - 1).join('')}…`;
}

function Graph({ layout }: { layout: GraphLayout }) {
  const [chosen, setChosen] = useState<string | null>(null);
  const [place, width] = useWidth();
  const left = Math.min(250, Math.round(width * 0.36));
  const right = width - Math.min(250, Math.round(width * 0.3));
  const middle = (left + right) / 2;
  const key = (side: string, id: string): string => `${side}:${id}`;
  const isOff = (identity: string, resource: string): boolean =>
    chosen !== null && chosen !== key('identity', identity) && chosen !== key('resource', resource);
  const node = (side: 'identity' | 'resource') => (entry: GraphLayout['identities'][number]) => {
    const atLeft = side === 'identity';
    const x = atLeft ? left - 12 : right + 12;
    const anchor = atLeft ? 'end' : 'start';
    const letters = Math.max(8, Math.floor((atLeft ? left - 14 : width - right - 14) / 7.4));
    const name = key(side, entry.id);
    return (
      <g key={name} class={`node${chosen === name ? ' is-chosen' : ''}`} onMouseEnter={() => setChosen(name)} onMouseLeave={() => setChosen(null)}>
        <rect class="node-bar" x={atLeft ? left - 6 : right} y={entry.y} width="6" height={entry.height} />
        <text x={x} y={entry.y + entry.height / 2 - 3} text-anchor={anchor}>
          {shorten(entry.id, letters)}
          <title>{entry.id}</title>
        </text>
        <text class="node-count" x={x} y={entry.y + entry.height / 2 + 12} text-anchor={anchor}>
          {count(entry.commands)}
          {entry.refused > 0 && <tspan class="node-refused">{`, ${count(entry.refused)} refused`}</tspan>}
        </text>
      </g>
    );
  };
  return (
    <div ref={place}>
      <svg class="graph" viewBox={`0 0 ${Math.max(1, width)} ${layout.height}`} role="img" aria-label="Graph of who touches what. The table below it says the same.">
        <text class="graph-head" x={left - 12} y="12" text-anchor="end">identity</text>
        <text class="graph-head" x={right + 12} y="12">resource</text>
        {layout.edges.map((edge) => {
          const d = (from: number, to: number): string => `M${left} ${from}C${middle} ${from} ${middle} ${to} ${right} ${to}`;
          const off = isOff(edge.identity, edge.resource) ? ' is-off' : '';
          return (
            <g key={`${edge.identity} ${edge.resource}`} class={`edge${off}`}>
              <title>{`${edge.identity} on ${edge.resource}: ${count(edge.commands)} commands, ${count(edge.refused)} refused, ${count(edge.rows)} rows`}</title>
              <path class="edge-all" d={d(edge.fromY, edge.toY)} stroke-width={edge.width} />
              {edge.refusedWidth > 0 && (
                <path
                  class="edge-refused"
                  d={d(edge.fromY + (edge.width - edge.refusedWidth) / 2, edge.toY + (edge.width - edge.refusedWidth) / 2)}
                  stroke-width={edge.refusedWidth}
                />
              )}
            </g>
          );
        })}
        {layout.identities.map(node('identity'))}
        {layout.resources.map(node('resource'))}
      </svg>
    </div>
  );
}

function EdgeTable({ data }: { data: OverviewData }) {
  const edges = [...data.edges].sort((a, b) => b.commands - a.commands);
  return (
    <Scroll label="who touches what">
      <table class="list">
        <thead>
          <tr>
            <th scope="col">Identity</th><th scope="col">Resource</th>
            <th scope="col" class="number">Commands</th><th scope="col" class="number">Refused</th><th scope="col" class="number">Rows</th>
          </tr>
        </thead>
        <tbody>
          {edges.map((edge) => (
            <tr key={`${edge.identity} ${edge.resource}`}>
              <td><Text>{edge.identity}</Text></td>
              <td><Text>{edge.resource}</Text></td>
              <td class="number" data-label="commands">
                <Link to={`/ledger?subject=${encodeURIComponent(edge.identity)}&resource=${encodeURIComponent(edge.resource)}`}>{count(edge.commands)}</Link>
              </td>
              <td class={`number${edge.refused > 0 ? ' tone-bad' : ''}`} data-label="refused">
                {edge.refused > 0 ? (
                  <Link to={`/ledger?subject=${encodeURIComponent(edge.identity)}&resource=${encodeURIComponent(edge.resource)}&verdict=deny`}>{count(edge.refused)}</Link>
                ) : (
                  '0'
                )}
              </td>
              <td class="number" data-label="rows">{count(edge.rows)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Chart({ title, series, field, tone }: { title: string; series: OverviewData['series']; field: 'commands' | 'refused' | 'approvals'; tone: string }) {
  const [at, setAt] = useState<number | null>(null);
  const values = series.map((point) => point[field]);
  const total = values.reduce((sum, value) => sum + value, 0);
  const top = niceCeiling(Math.max(0, ...values));
  const height = 60;
  const step = WIDTH / Math.max(1, values.length);
  const point = at === null ? undefined : series[at];
  return (
    <figure class="chart">
      <figcaption>
        <strong>{title}</strong>{' '}
        <span class="hint">
          {point ? `${count(point[field])} from ${localTime(point.time).slice(0, 16)}` : `${count(total)} in all`}
        </span>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${title}: ${total} in all`}
        onMouseLeave={() => setAt(null)}
        onMouseMove={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          const index = Math.floor(((event.clientX - box.left) / box.width) * values.length);
          setAt(index >= 0 && index < values.length ? index : null);
        }}
      >
        <path class="chart-grid" d={`M0 0.5H${WIDTH}M0 ${height / 2}H${WIDTH}`} />
        {values.map((value, index) => {
          const tall = value === 0 ? 0 : Math.max(1.5, (value / top) * height);
          return <rect key={index} class={`bar bar-${tone}${index === at ? ' is-at' : ''}`} x={index * step + step * 0.1} y={height - tall} width={step * 0.8} height={tall} />;
        })}
        <path class="chart-base" d={`M0 ${height - 0.5}H${WIDTH}`} />
      </svg>
      <div class="chart-axis" aria-hidden="true">
        <span>{series[0] ? localTime(series[0].time).slice(5, 16) : ''}</span>
        <span>top line {count(top)}</span>
        <span>{series.length > 0 ? localTime((series[series.length - 1] as { time: string }).time).slice(5, 16) : ''}</span>
      </div>
    </figure>
  );
}
