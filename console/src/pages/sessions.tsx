// Sessions: who is connected now, who was, and each one's film.
import { useEffect, useRef, useState } from 'preact/hooks';
import { get, post, postForFile } from '../api/client';
import { openLive, type LinkState } from '../api/live';
import type { Page, Recording, RecordingEvent, Session } from '../api/types';
import { bytes, count } from '../lib/numbers';
import { navigate } from '../lib/router';
import { duration } from '../lib/time';
import { hasRole, useApp, useLive } from '../ui/app';
import { Chain, Empty, Fact, Facts, Failure, Link, Loading, Scroll, Section, Text, Time, Verdict } from '../ui/basics';
import { ActDialog } from '../ui/dialog';
import { Film } from '../ui/film';
import { useKeys, useLoad, useNow, useTitle } from '../ui/hooks';
import { Player } from '../ui/player';

export function Sessions({ id, search }: { id: string | undefined; search: string }) {
  return id === undefined ? <SessionList search={search} /> : <SessionPage key={id} id={id} />;
}

function isLive(session: Session): boolean {
  return !session.closed;
}

function SessionList({ search }: { search: string }) {
  useTitle('Sessions');
  const parameters = new URLSearchParams(search);
  const state = parameters.get('state') ?? 'live';
  const q = parameters.get('q') ?? '';
  const [text, setText] = useState(q);
  useEffect(() => setText(q), [q]);
  const query = { state, q, limit: 100 };
  const list = useLoad<Page<Session>>(`sessions ${state} ${q}`, (signal) => get('/v1/sessions', query, signal));
  const [older, setOlder] = useState<{ items: Session[]; next: string | null } | null>(null);
  const [olderError, setOlderError] = useState<unknown>();
  useEffect(() => setOlder(null), [state, q]);
  useLive((name) => {
    if (name === 'session' || name === 'return') list.reload();
  });
  const time = useNow(5000);
  const items = [...(list.data?.items ?? []), ...(older?.items ?? [])];
  const next = older === null ? list.data?.next : older.next;
  const go = (changes: Record<string, string>): void => {
    const fresh = new URLSearchParams({ state, ...(q === '' ? {} : { q }), ...changes });
    if (fresh.get('q') === '') fresh.delete('q');
    navigate(`/sessions?${fresh.toString()}`);
  };
  const readOlder = (): void => {
    get<Page<Session>>('/v1/sessions', { ...query, before: next }).then(
      (page) => setOlder({ items: [...(older?.items ?? []), ...page.items], next: page.next ?? null }),
      setOlderError,
    );
  };
  return (
    <div class="page">
      <header class="page-head">
        <h1>Sessions</h1>
        <nav class="tabs" aria-label="which sessions">
          {(['live', 'closed', 'all'] as const).map((value) => (
            <Link key={value} to={`/sessions?state=${value}${q === '' ? '' : `&q=${encodeURIComponent(q)}`}`} {...(state === value ? { 'aria-current': 'true' as const } : {})}>
              {{ live: 'Live', closed: 'Closed', all: 'All' }[value]}
            </Link>
          ))}
        </nav>
        <form
          class="search"
          role="search"
          onSubmit={(event) => {
            event.preventDefault();
            go({ q: text.trim() });
          }}
        >
          <input type="search" data-search aria-label="Search sessions" placeholder="Identity, resource, id …" value={text} onInput={(event) => setText(event.currentTarget.value)} />
          <button type="submit">Search</button>
        </form>
      </header>
      {list.error !== undefined && <Failure error={list.error} what="the sessions" retry={list.reload} />}
      {list.data === undefined && list.loading && <Loading what="the sessions" />}
      {list.data !== undefined && items.length === 0 && (
        <Empty>
          <p>{q !== '' ? 'No session fits this search.' : state === 'live' ? 'Nobody is connected now.' : 'There is no session here yet.'}</p>
        </Empty>
      )}
      {items.length > 0 && (
        <Scroll label="sessions">
          <table class="list">
            <thead>
              <tr>
                <th scope="col">Who</th>
                <th scope="col">Where</th>
                <th scope="col">Opened</th>
                <th scope="col">Lasted</th>
                <th scope="col" class="number">Commands</th>
                <th scope="col" class="number">Refused</th>
                <th scope="col">Client</th>
                <th scope="col">Session</th>
              </tr>
            </thead>
            <tbody>
              {items.map((session) => (
                <tr key={session.id}>
                  <td>
                    <Who session={session} />
                  </td>
                  <td>
                    <Text>{session.resource}</Text>
                    {session.database && <> / <Text>{session.database}</Text></>}
                  </td>
                  <td><Time at={session.opened} form="short" /></td>
                  <td>
                    {isLive(session) ? <Verdict value="live" /> : null}{' '}
                    {duration(((session.closed ? Date.parse(session.closed) : time) - Date.parse(session.opened)) / 1000)}
                  </td>
                  <td class="number" data-label="commands">{count(session.commands)}</td>
                  <td class={`number${session.denied ? ' tone-bad' : ''}`} data-label="refused">{count(session.denied)}</td>
                  <td><Text>{session.client}</Text></td>
                  <td>
                    <Link class="mono" to={`/sessions/${encodeURIComponent(session.id)}`} data-row>
                      {session.id}
                    </Link>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {olderError !== undefined && <Failure error={olderError} what="older sessions" />}
      {next && <button type="button" onClick={readOlder}>Show older ones</button>}
    </div>
  );
}

function Who({ session }: { session: Session }) {
  const chain = session.chain ?? [];
  return (
    <>
      <Text>{session.subject}</Text>
      {chain.length > 1 && <span class="hint"> for <Text>{chain[0]}</Text></span>}
    </>
  );
}

type Dialogs = 'kill' | 'replay' | 'export' | 'hold';

function SessionPage({ id }: { id: string }) {
  useTitle(`Session ${id}`);
  const { me } = useApp();
  const path = `/v1/sessions/${encodeURIComponent(id)}`;
  const { data: session, error, loading, reload } = useLoad<Session>(path, (signal) => get(path, {}, signal));
  const [dialog, setDialog] = useState<Dialogs | null>(null);
  const [watching, setWatching] = useState(false);
  const [reason, setReason] = useState<string | null>(null);
  const [format, setFormat] = useState('asciicast');
  const [said, setSaid] = useState('');
  useLive((name, event) => {
    if (name === 'return' || (name === 'session' && event.id === id)) reload();
  });
  useKeys({ Escape: () => navigate('/sessions') });

  const recording: Recording | null = typeof session?.recording === 'object' ? session.recording : null;
  const hasRecording = session?.recording !== undefined && session.recording !== null && session.recording !== false;
  const live = session !== undefined && isLive(session);
  const held = recording?.legal_hold === true;
  return (
    <div class="page">
      <Link to="/sessions" class="back">All sessions</Link>
      <header class="page-head">
        <h1>Session <span class="mono">{id}</span></h1>
        {session && <Verdict value={live ? 'live' : (session.reason ?? 'closed')} />}
      </header>
      {session === undefined && loading && <Loading what="the session" />}
      {error !== undefined && <Failure error={error} what="this session" retry={reload} />}
      {session && (
        <>
          <Chain chain={session.chain} subject={session.subject} />
          <SessionFacts session={session} recording={recording} hasRecording={hasRecording} />
          <div class="buttons" role="group" aria-label="what to do with it">
            {live && (
              <button type="button" class={watching ? '' : 'primary'} aria-pressed={watching} onClick={() => setWatching(!watching)}>
                {watching ? 'Stop watching' : 'Watch live'}
              </button>
            )}
            {hasRecording && (
              <button type="button" class={live ? '' : 'primary'} onClick={() => setDialog('replay')}>
                Replay
              </button>
            )}
            {hasRecording && <button type="button" onClick={() => setDialog('export')}>Export</button>}
            {hasRecording && (
              <button type="button" onClick={() => setDialog('hold')}>
                {held ? 'Release the legal hold' : 'Legal hold'}
              </button>
            )}
            {live && hasRole(me, 'admin') && (
              <button type="button" class="danger" onClick={() => setDialog('kill')}>
                End this session
              </button>
            )}
            <Link class="button" to={`/ledger?session=${encodeURIComponent(id)}`}>Its records</Link>
          </div>
          <p class="hint" role="status">{said}</p>
          {watching && <Watch id={id} onClosed={reload} />}
          {reason !== null && (
            <Section title="Replay">
              <Player session={id} reason={reason} />
            </Section>
          )}
          {dialog === 'kill' && (
            <ActDialog title="End this session?" button="End the session" tone="danger" reasonLabel="Why" reasonHint="Goes into the ledger." required
              act={async (text) => {
                await post(`${path}/kill`, { reason: text });
                setSaid('The session is being ended.');
                reload();
              }}
              onClose={() => setDialog(null)}>
              <p>The client loses its connection at once; a command that runs is cancelled.</p>
            </ActDialog>
          )}
          {dialog === 'replay' && (
            <ActDialog title="Watch this recording" button="Watch" reasonLabel="Why you watch it" reasonHint="Watching is recorded, with this reason." required
              act={(text) => {
                setReason(text);
                return Promise.resolve();
              }}
              onClose={() => setDialog(null)} />
          )}
          {dialog === 'export' && (
            <ActDialog title="Export this recording" button="Export" reasonLabel="What it is for" reasonHint="The export is recorded, with this reason." required
              act={(text) => postForFile(`${path}/export`, { reason: text, format }, `${id}.${{ asciicast: 'cast', sql: 'sql', json: 'json' }[format] ?? 'txt'}`)}
              onClose={() => setDialog(null)}>
              <fieldset>
                <legend>As</legend>
                {[['asciicast', 'asciicast, for a terminal player'], ['sql', 'SQL, the commands that ran'], ['json', 'JSON, every event']].map(([value, words]) => (
                  <label class="check" key={value}>
                    <input type="radio" name="format" value={value} checked={format === value} onChange={() => setFormat(value as string)} /> {words}
                  </label>
                ))}
              </fieldset>
            </ActDialog>
          )}
          {dialog === 'hold' && (
            <ActDialog title={held ? 'Release the legal hold?' : 'Put a legal hold on this recording?'} button={held ? 'Release it' : 'Hold it'} reasonLabel="Why" reasonHint="Goes into the ledger." required
              act={async (text) => {
                await post(`${path}/legal-hold`, { on: !held, reason: text });
                setSaid(held ? 'The hold is released.' : 'The recording is kept whatever its retention says.');
                reload();
              }}
              onClose={() => setDialog(null)} />
          )}
        </>
      )}
    </div>
  );
}

function SessionFacts({ session, recording, hasRecording }: { session: Session; recording: Recording | null; hasRecording: boolean }) {
  const time = useNow(1000, isLive(session));
  const end = session.closed ? Date.parse(session.closed) : time;
  return (
    <Facts>
      <Fact name="On">
        <strong><Text>{session.resource}</Text></strong>
        {session.database && <> / <Text>{session.database}</Text></>}
      </Fact>
      <Fact name="Opened"><Time at={session.opened} /></Fact>
      <Fact name={session.closed ? 'Lasted' : 'Has lasted'}>{duration((end - Date.parse(session.opened)) / 1000)}</Fact>
      <Fact name="Commands">{count(session.commands)}, of which {count(session.denied ?? 0)} refused</Fact>
      <Fact name="Purpose">{session.purpose && <Text>{session.purpose}</Text>}</Fact>
      <Fact name="Client">{session.client && <Text>{session.client}</Text>}</Fact>
      <Fact name="From">{session.source && <span class="mono"><Text>{session.source}</Text></span>}</Fact>
      <Fact name="Recording">
        {!hasRecording
          ? 'none'
          : [
              recording?.bytes ? bytes(recording.bytes) : 'there is one',
              recording?.rows ? 'with rows' : 'without rows',
              recording?.legal_hold ? 'on legal hold' : '',
            ]
              .filter((part) => part !== '')
              .join(', ')}
      </Fact>
      <Fact name="Kept until">{recording?.retain_until && <Time at={recording.retain_until} />}</Fact>
    </Facts>
  );
}

function Watch({ id, onClosed }: { id: string; onClosed: () => void }) {
  const [events, setEvents] = useState<RecordingEvent[]>([]);
  const [link, setLink] = useState<LinkState>('connecting');
  const [follow, setFollow] = useState(true);
  const over = useRef(false);
  useEffect(() => {
    const stop = openLive({
      url: `/v1/sessions/${encodeURIComponent(id)}/live`,
      events: ['event'],
      onState: setLink,
      onEvent: (_name, data) => {
        const event = data as RecordingEvent;
        setEvents((old) => [...old, event]);
        if (event.kind === 'closed') {
          over.current = true;
          stop();
          onClosed();
        }
      },
    });
    return stop;
  }, [id]);
  return (
    <Section
      title="Live"
      aside={
        <label class="check">
          <input type="checkbox" checked={follow} onChange={() => setFollow(!follow)} /> follow
        </label>
      }
    >
      <Film events={events} until={events.length} follow={follow} label="live session" />
      <p class="hint" role="status">
        {over.current ? 'The session has ended.' : link === 'live' ? 'Watching. That you watch is recorded.' : 'Connecting to the session …'}
      </p>
    </Section>
  );
}

