// The inbox: what waits for a human, and what was decided.
import { useEffect, useState } from 'preact/hooks';
import { get } from '../api/client';
import type { ApprovalRequest, Page } from '../api/types';
import { navigate } from '../lib/router';
import { oneLine } from '../lib/sql';
import { duration } from '../lib/time';
import { useLive } from '../ui/app';
import { Countdown, Empty, Failure, Link, Loading, Text, Time, Verdict } from '../ui/basics';
import { useKeys, useLoad, useTitle } from '../ui/hooks';
import { RequestDetail } from './request';

const WIDE = '(min-width: 60rem)';

function Item({ request, current, suffix }: { request: ApprovalRequest; current: boolean; suffix: string }) {
  const what = request.kind === 'access' ? `access for ${duration(request.seconds ?? request.valid_for_seconds ?? 0)}` : oneLine(request.command?.text ?? '');
  return (
    <li>
      <Link
        to={`/approvals/${encodeURIComponent(request.id)}${suffix}`}
        class="item"
        data-row
        {...(current ? { 'aria-current': 'true' as const } : {})}
      >
        <span class="item-who">
          <Text>{request.subject}</Text>
          <span class="item-where">
            {' on '}
            <Text>{request.resource}</Text>
          </span>
        </span>
        <span class="item-when">
          {request.state === 'pending' ? <Countdown until={request.expires} /> : <Time at={request.decided ?? request.created} form="short" />}
        </span>
        <span class="item-what mono">
          <Text>{what}</Text>
        </span>
        {request.state !== 'pending' ? (
          <span class="item-note">
            <Verdict value={request.state} />
          </span>
        ) : request.you && !request.you.may_decide ? (
          <span class="item-note hint">not yours to decide</span>
        ) : null}
      </Link>
    </li>
  );
}

export function Approvals({ id, search }: { id: string | undefined; search: string }) {
  const history = new URLSearchParams(search).get('view') === 'history';
  const suffix = history ? '?view=history' : '';
  const state = history ? 'decided' : 'pending';
  const list = useLoad<Page<ApprovalRequest>>(`approvals ${state}`, (signal) => get('/v1/approvals', { state, limit: 100 }, signal));
  const [older, setOlder] = useState<{ items: ApprovalRequest[]; next: string | null; error?: unknown } | null>(null);
  useTitle(list.data && !history && list.data.items.length > 0 ? `(${list.data.items.length}) Approvals` : 'Approvals');
  useEffect(() => setOlder(null), [state]);
  useLive((name) => {
    if (name === 'approval' || name === 'return') list.reload();
  });

  const items = [...(list.data?.items ?? []), ...(older?.items ?? [])];
  if (!history) items.sort((a, b) => a.expires.localeCompare(b.expires));
  const next = older === null ? list.data?.next : older.next;

  // With room for both, the most urgent one is open at once. Only on the way in: what is open never
  // changes under somebody's hands.
  const first = items[0]?.id;
  useEffect(() => {
    if (id === undefined && first !== undefined && window.matchMedia(WIDE).matches) {
      navigate(`/approvals/${encodeURIComponent(first)}${suffix}`, true);
    }
  }, [id === undefined, first === undefined, suffix]);

  const step = (by: number): void => {
    const at = items.findIndex((item) => item.id === id);
    const target = items[at < 0 ? 0 : Math.min(items.length - 1, Math.max(0, at + by))];
    if (target === undefined) return;
    navigate(`/approvals/${encodeURIComponent(target.id)}${suffix}`, true);
    document.querySelector('.inbox [aria-current="true"]')?.scrollIntoView({ block: 'nearest' });
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    Escape: () => {
      if (!window.matchMedia(WIDE).matches && id !== undefined) navigate(`/approvals${suffix}`);
    },
  });

  const readOlder = async (): Promise<void> => {
    try {
      const page = await get<Page<ApprovalRequest>>('/v1/approvals', { state, limit: 100, before: next });
      setOlder({ items: [...(older?.items ?? []), ...page.items], next: page.next ?? null });
    } catch (error) {
      setOlder({ items: older?.items ?? [], next: next ?? null, error });
    }
  };

  return (
    <div class={`two${id === undefined ? '' : ' has-detail'}`}>
      <section class="inbox" aria-label="requests">
        <header>
          <h1>Approvals</h1>
          <nav class="tabs" aria-label="which requests">
            <Link to="/approvals" {...(history ? {} : { 'aria-current': 'true' as const })}>
              Waiting
            </Link>
            <Link to="/approvals?view=history" {...(history ? { 'aria-current': 'true' as const } : {})}>
              History
            </Link>
          </nav>
        </header>
        {list.error !== undefined && <Failure error={list.error} what="the requests" retry={list.reload} />}
        {list.data === undefined && list.loading && <Loading what="the requests" />}
        {list.data !== undefined && items.length === 0 && (
          <Empty>
            {history ? (
              <p>Nothing has been decided yet.</p>
            ) : (
              <>
                <p>
                  <strong>Nothing waits.</strong>
                </p>
                <p>When a rule holds a command, it appears here by itself while its client waits.</p>
              </>
            )}
          </Empty>
        )}
        <ul class="items">
          {items.map((request) => (
            <Item key={request.id} request={request} current={request.id === id} suffix={suffix} />
          ))}
        </ul>
        {older?.error !== undefined && <Failure error={older.error} what="older requests" />}
        {next && (
          <button type="button" onClick={() => void readOlder()}>
            Show older ones
          </button>
        )}
      </section>
      {id !== undefined ? (
        <RequestDetail key={id} id={id} back={`/approvals${suffix}`} />
      ) : (
        <div class="detail detail-none">{items.length > 0 && <p class="hint">Choose a request.</p>}</div>
      )}
    </div>
  );
}
