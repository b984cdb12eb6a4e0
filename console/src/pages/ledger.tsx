// The ledger: search, one record in full, verify, export.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { get, messageOf, post, withQuery } from '../api/client';
import type { Bind, Fact as FactData, LedgerRecord, Page, Verification } from '../api/types';
import { count } from '../lib/numbers';
import { navigate } from '../lib/router';
import { oneLine } from '../lib/sql';
import { fromLocalInput, localTime, toLocalInput, utcTime } from '../lib/time';
import { Empty, Failure, Link, Loading, Scroll, Section, Text, Time, Verdict } from '../ui/basics';
import { useKeys, useLoad, useTitle } from '../ui/hooks';
import { Effects, Statement } from '../ui/statement';

const FIELDS = ['text', 'subject', 'resource', 'table', 'verdict', 'type', 'session', 'from', 'to'] as const;
type Filters = Partial<Record<(typeof FIELDS)[number], string>>;

function readFilters(search: string): Filters {
  const parameters = new URLSearchParams(search);
  const filters: Filters = {};
  for (const field of FIELDS) {
    const value = parameters.get(field);
    if (value) filters[field] = value;
  }
  return filters;
}

export function Ledger({ id, search }: { id: string | undefined; search: string }) {
  return id === undefined ? <Search search={search} /> : <Record key={id} sequence={id} search={search} />;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

function subjectOf(record: LedgerRecord): string {
  const identity = record['identity'];
  if (text(record['subject']) !== '') return text(record['subject']);
  if (typeof identity === 'object' && identity !== null) return text((identity as { subject?: unknown }).subject);
  return text(record['claimed_subject']) || text(record['actor']) || text(record['service']);
}

// What a record is about, in a line.
export function summaryOf(record: LedgerRecord): string {
  switch (record.type) {
    case 'command_outcome':
      return record['error'] ? `error ${text(record['error'])}` : `${count(record['rows'] as number | undefined)} rows`;
    case 'session_opened':
      return `from ${text(record['source'])}`;
    case 'session_closed':
      return `${text(record['reason'])}, ${count(record['commands'] as number | undefined)} commands`;
    case 'admin_action':
      return [text(record['action']), text(record['target']), text(record['detail'])].filter((part) => part !== '').join(' ');
    default:
      return text(record['statement']) || text(record['text']) || text(record['message']) || text(record['detail']) || text(record['reason']);
  }
}

function Input({ label, name, filters, set, local = false, placeholder }: { label: string; name: keyof Filters; filters: Filters; set: (filters: Filters) => void; local?: boolean; placeholder?: string }) {
  const value = filters[name] ?? '';
  return (
    <label>
      {label}
      <input
        {...(local ? { type: 'datetime-local' as const } : {})}
        {...(name === 'text' ? { 'data-search': true } : {})}
        {...(placeholder === undefined ? {} : { placeholder })}
        value={local ? toLocalInput(value) : value}
        onInput={(event) => set({ ...filters, [name]: local ? fromLocalInput(event.currentTarget.value) : event.currentTarget.value })}
      />
    </label>
  );
}

function Search({ search }: { search: string }) {
  useTitle('Ledger');
  const applied = readFilters(search);
  const [filters, setFilters] = useState(applied);
  useEffect(() => setFilters(readFilters(search)), [search]);
  const list = useLoad<Page<LedgerRecord> & { incomplete?: boolean }>(`ledger ${search}`, (signal) => get('/v1/ledger', { ...applied, limit: 100 }, signal));
  const [older, setOlder] = useState<{ items: LedgerRecord[]; next: string | null } | null>(null);
  const [olderError, setOlderError] = useState<unknown>();
  const [reading, setReading] = useState(false);
  const [more, setMore] = useState(Object.keys(applied).some((key) => key !== 'text'));
  useEffect(() => {
    setOlder(null);
    setOlderError(undefined);
  }, [search]);
  const items = [...(list.data?.items ?? []), ...(older?.items ?? [])];
  const next = older === null ? list.data?.next : older.next;
  const apply = (fresh: Filters): void => {
    const trimmed = Object.fromEntries(Object.entries(fresh).map(([key, value]) => [key, value.trim()]));
    navigate(withQuery('/ledger', trimmed));
  };
  const readOlder = (): void => {
    setReading(true);
    get<Page<LedgerRecord>>('/v1/ledger', { ...applied, limit: 100, before: next })
      .then((page) => setOlder({ items: [...(older?.items ?? []), ...page.items], next: page.next ?? null }), setOlderError)
      .finally(() => setReading(false));
  };
  return (
    <div class="page">
      <header class="page-head">
        <h1>Ledger</h1>
      </header>
      <form
        class={`filters filters-ledger${more ? ' is-open' : ''}`}
        role="search"
        aria-label="Search the ledger"
        onSubmit={(event) => {
          event.preventDefault();
          apply(filters);
        }}
      >
        <Input label="Text" name="text" filters={filters} set={setFilters} placeholder="part of a statement" />
        <Input label="Identity" name="subject" filters={filters} set={setFilters} placeholder="agent-*" />
        <Input label="Resource" name="resource" filters={filters} set={setFilters} placeholder="production" />
        <Input label="Table" name="table" filters={filters} set={setFilters} placeholder="public.orders" />
        <label>
          Verdict
          <select value={filters.verdict ?? ''} onChange={(event) => setFilters({ ...filters, verdict: event.currentTarget.value })}>
            <option value="">any</option>
            <option value="allow">allowed</option>
            <option value="deny">refused</option>
            <option value="modify">allowed, changed</option>
            <option value="step_up">held</option>
            <option value="defer">asked for a purpose</option>
          </select>
        </label>
        <label>
          Type
          <select value={filters.type ?? ''} onChange={(event) => setFilters({ ...filters, type: event.currentTarget.value })}>
            <option value="">any</option>
            {['command_intent', 'command_outcome', 'decision', 'approval', 'session_opened', 'session_refused', 'session_closed', 'admin_action', 'recording', 'event', 'configuration_loaded', 'service_started', 'service_stopped', 'service_died'].map((type) => (
              <option key={type} value={type}>
                {type.replace(/_/g, ' ')}
              </option>
            ))}
          </select>
        </label>
        <Input label="Session" name="session" filters={filters} set={setFilters} />
        <Input label="From" name="from" filters={filters} set={setFilters} local />
        <Input label="To" name="to" filters={filters} set={setFilters} local />
        <div class="buttons">
          <button type="submit" class="primary">
            Search
          </button>
          {Object.keys(applied).length > 0 && (
            <Link class="button" to="/ledger">
              Everything
            </Link>
          )}
          <button type="button" class="filters-more" aria-expanded={more} onClick={() => setMore(!more)}>
            {more ? 'Fewer fields' : 'More fields'}
          </button>
          <a class="button" href={withQuery('/v1/ledger/export', applied)} download="ledger.ndjson">
            Export these
          </a>
          <Verify />
        </div>
      </form>
      {list.error !== undefined && <Failure error={list.error} what="the ledger" retry={list.reload} />}
      {list.data === undefined && list.loading && <Loading what="the ledger" />}
      {list.data !== undefined && items.length === 0 && (
        <Empty>
          <p>{next ? 'Nothing so far; the search has not reached the beginning.' : Object.keys(applied).length > 0 ? 'No record fits.' : 'The ledger is empty.'}</p>
        </Empty>
      )}
      {items.length > 0 && (
        <Scroll label="records">
          <table class="list">
            <thead>
              <tr>
                <th scope="col" class="number">No.</th>
                <th scope="col">Time</th>
                <th scope="col">What</th>
                <th scope="col">Who</th>
                <th scope="col">Where</th>
                <th scope="col">Content</th>
              </tr>
            </thead>
            <tbody>
              {items.map((record) => (
                <tr key={record.seq}>
                  <td class="number">
                    <Link class="mono" to={`/ledger/${record.seq}${search}`} data-row>
                      {record.seq}
                    </Link>
                  </td>
                  <td><Time at={record.time} form="short" /></td>
                  <td>
                    {record.type === 'command_intent' ? <Verdict value={text(record['verdict'])} /> : record.type.replace(/_/g, ' ')}
                  </td>
                  <td class="name"><Text>{subjectOf(record)}</Text></td>
                  <td class="name"><Text>{text(record['resource'])}</Text></td>
                  <td class="mono wide"><span><Text>{oneLine(summaryOf(record), 180)}</Text></span></td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {olderError !== undefined && <Failure error={olderError} what="older records" />}
      {next && (
        <button type="button" onClick={readOlder} disabled={reading}>
          {reading ? 'Reading …' : 'Show older ones'}
        </button>
      )}
    </div>
  );
}

function Verify() {
  const [state, setState] = useState<{ busy: boolean; result?: Verification; error?: string }>({ busy: false });
  const verify = async (): Promise<void> => {
    setState({ busy: true });
    try {
      setState({ busy: false, result: await post<Verification>('/v1/ledger/verify') });
    } catch (error) {
      setState({ busy: false, error: messageOf(error) });
    }
  };
  return (
    <>
      <button type="button" onClick={() => void verify()} disabled={state.busy}>
        {state.busy ? 'Verifying …' : 'Verify the chain'}
      </button>
      <div class="verified" role="status">
        {state.result?.ok === true && (
          <p class="tone-ok">
            <strong>The chain holds.</strong> {count(state.result.records)} records; last hash{' '}
            <span class="mono break">{state.result.head}</span>
          </p>
        )}
        {state.result?.ok === false && (
          <p class="state state-bad">
            <strong>The chain is broken.</strong> <Text>{state.result.detail}</Text>
          </p>
        )}
        {state.error && (
          <p class="state state-bad">
            <strong>It could not be verified.</strong> <Text>{state.error}</Text>
          </p>
        )}
      </div>
    </>
  );
}

// Any value of a record, without a surprise.
function Value({ value }: { value: unknown }): ComponentChildren {
  if (value === null || value === undefined) return <span class="null">null</span>;
  if (typeof value === 'string') return <Text>{value}</Text>;
  if (typeof value !== 'object') return <>{String(value)}</>;
  if (Array.isArray(value) && value.every((entry) => typeof entry !== 'object')) {
    return value.length === 0 ? <span class="null">none</span> : <Text>{value.join(', ')}</Text>;
  }
  return (
    <dl class="facts nested">
      {Object.entries(value).map(([key, entry]) => (
        <div key={key}>
          <dt>{key}</dt>
          <dd>
            <Value value={entry} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Record({ sequence, search }: { sequence: string; search: string }) {
  useTitle(`Record ${sequence}`);
  const path = `/v1/ledger/${encodeURIComponent(sequence)}`;
  const { data: record, error, loading, reload } = useLoad<LedgerRecord>(path, (signal) => get(path, {}, signal));
  const number = Number(sequence);
  const back = `/ledger${search}`;
  const step = (by: number): void => {
    if (number + by >= 1) navigate(`/ledger/${number + by}${search}`, true);
  };
  useKeys({ Escape: () => navigate(back), j: () => step(1), k: () => step(-1) });
  const statement = record ? text(record['statement']) : '';
  const session = record ? text(record['session']) : '';
  const facts = record?.['facts'];
  const special = new Set(['seq', 'type', 'time', 'statement', 'facts', 'binds', 'prev', 'hash']);
  return (
    <div class="page">
      <Link to={back} class="back">
        All records
      </Link>
      <header class="page-head">
        <h1>Record {sequence}</h1>
        {record && <span>{record.type.replace(/_/g, ' ')}</span>}
        {record?.['verdict'] !== undefined && <Verdict value={text(record['verdict'])} />}
        <span class="buttons">
          <button type="button" onClick={() => step(-1)} disabled={number <= 1} aria-label="record before">
            Before
          </button>
          <button type="button" onClick={() => step(1)} aria-label="record after">
            After
          </button>
        </span>
      </header>
      {record === undefined && loading && <Loading what="the record" />}
      {error !== undefined && <Failure error={error} what={`record ${sequence}`} retry={reload} />}
      {record && (
        <>
          <p>
            {localTime(record.time)} here, {utcTime(record.time)}
            {session !== '' && (
              <>
                {' · session '}
                <Link class="mono" to={`/sessions/${session}`}>{session}</Link>
                {' · '}
                <Link to={`/ledger?session=${session}`}>all records of it</Link>
              </>
            )}
          </p>
          {statement !== '' && (
            <Section title="Statement">
              <Statement command={{ text: statement, binds: Array.isArray(record['binds']) ? (record['binds'] as Bind[]) : null }} />
              {Array.isArray(facts) && facts.length > 0 && <Effects facts={facts as FactData[]} />}
            </Section>
          )}
          <Section title="Fields">
            <dl class="facts">
              {Object.entries(record)
                .filter(([key]) => !special.has(key))
                .map(([key, value]) => (
                  <div key={key}>
                    <dt>{key}</dt>
                    <dd>
                      <Value value={value} />
                    </dd>
                  </div>
                ))}
            </dl>
          </Section>
          <Section title="Its place in the chain">
            <dl class="facts">
              <div>
                <dt>prev</dt>
                <dd class="mono break">{text(record['prev'])}</dd>
              </div>
              <div>
                <dt>hash</dt>
                <dd class="mono break">{text(record['hash'])}</dd>
              </div>
            </dl>
          </Section>
          <details class="raw">
            <summary>As JSON</summary>
            <pre tabIndex={0} role="region" aria-label="the record as JSON">
              <code>
                <Text>{JSON.stringify(record, null, 2)}</Text>
              </code>
            </pre>
          </details>
        </>
      )}
    </div>
  );
}
