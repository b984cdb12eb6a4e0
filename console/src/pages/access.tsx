// Access for a while: ask for it, see what is in force, take it back.
import { useState } from 'preact/hooks';
import { get, messageOf, post } from '../api/client';
import type { Access as AccessGrant, ApprovalRequest, Resource } from '../api/types';
import { navigate } from '../lib/router';
import { duration, now } from '../lib/time';
import { hasRole, useApp, useLive } from '../ui/app';
import { Countdown, Empty, Failure, Link, Loading, Scroll, Section, Text, Time, Verdict } from '../ui/basics';
import { ActDialog } from '../ui/dialog';
import { useLoad, useTitle } from '../ui/hooks';

const TIMES = [900, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 24 * 3600];

export function Access() {
  useTitle('Access');
  const { me } = useApp();
  const { data, error, loading, reload } = useLoad<{ items: AccessGrant[] }>('access', (signal) => get('/v1/access', {}, signal));
  const [revoke, setRevoke] = useState<AccessGrant | null>(null);
  useLive((name) => {
    if (name === 'approval' || name === 'return') reload();
  });
  const mayRevoke = (grant: AccessGrant): boolean =>
    isActive(grant) && (grant.you?.may_revoke ?? (hasRole(me, 'admin') || grant.subject === me.subject));
  return (
    <div class="page">
      <header class="page-head">
        <h1>Access</h1>
      </header>
      <Section title="Ask for access">
        <Ask />
      </Section>
      <Section title="Granted">
        {error !== undefined && <Failure error={error} what="the grants" retry={reload} />}
        {data === undefined && loading && <Loading what="the grants" />}
        {data !== undefined && data.items.length === 0 && <Empty><p>Nobody has been granted access for a while.</p></Empty>}
        {data !== undefined && data.items.length > 0 && (
          <Scroll label="grants of access">
            <table class="list">
              <thead>
                <tr>
                  <th scope="col">Who</th>
                  <th scope="col">Resource</th>
                  <th scope="col">State</th>
                  <th scope="col">Left</th>
                  <th scope="col">Ends</th>
                  <th scope="col">Reason</th>
                  <th scope="col"><span class="hidden">Act</span></th>
                </tr>
              </thead>
              <tbody>
                {data.items.map((grant) => (
                  <tr key={grant.id}>
                    <td><Text>{grant.subject}</Text></td>
                    <td><Text>{grant.resource}</Text></td>
                    <td><Verdict value={grant.state} /></td>
                    <td>{isActive(grant) ? <Countdown until={grant.expires} /> : '–'}</td>
                    <td><Time at={grant.revoked ?? grant.expires} form="short" /></td>
                    <td><Text>{grant.reason}</Text></td>
                    <td>
                      {mayRevoke(grant) && (
                        <button type="button" class="danger" onClick={() => setRevoke(grant)}>
                          Revoke
                        </button>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroll>
        )}
      </Section>
      {revoke && (
        <ActDialog title="Revoke this access?" button="Revoke" tone="danger" reasonLabel="Why" reasonHint="Goes into the ledger." required
          act={async (reason) => {
            await post(`/v1/access/${encodeURIComponent(revoke.id)}/revoke`, { reason });
            reload();
          }}
          onClose={() => setRevoke(null)}>
          <p>
            Sessions of <strong><Text>{revoke.subject}</Text></strong> on <strong><Text>{revoke.resource}</Text></strong> that live on it end at once.
          </p>
        </ActDialog>
      )}
    </div>
  );
}

function isActive(grant: AccessGrant): boolean {
  return !grant.revoked && ['active', 'granted', 'approved'].includes(grant.state) && Date.parse(grant.expires) > now();
}

function Ask() {
  const resources = useLoad<{ items: Resource[] }>('resources', (signal) => get('/v1/resources', {}, signal));
  const [resource, setResource] = useState(() => new URLSearchParams(location.search).get('resource') ?? '');
  const [seconds, setSeconds] = useState(3600);
  const [reason, setReason] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const names = (resources.data?.items ?? []).map((item) => item.name);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (resource === '') return setError('Choose a resource.');
    if (reason.trim() === '') return setError('Say what it is for: approvers read it.');
    setBusy(true);
    setError('');
    try {
      const request = await post<ApprovalRequest>('/v1/access', { resource, seconds, reason: reason.trim() });
      navigate(`/approvals/${encodeURIComponent(request.id)}`);
    } catch (problem) {
      setError(messageOf(problem));
      setBusy(false);
    }
  };
  return (
    <form class="ask" onSubmit={(event) => void submit(event)} noValidate>
      <label>
        To
        <select value={resource} onChange={(event) => setResource(event.currentTarget.value)}>
          <option value="">choose …</option>
          {[...new Set([...names, ...(resource === '' ? [] : [resource])])].map((name) => (
            <option key={name} value={name}>{name}</option>
          ))}
        </select>
      </label>
      <label>
        For
        <select value={String(seconds)} onChange={(event) => setSeconds(Number(event.currentTarget.value))}>
          {TIMES.map((value) => (
            <option key={value} value={String(value)}>{duration(value)}</option>
          ))}
        </select>
      </label>
      <label class="grow">
        Because
        <input type="text" value={reason} maxLength={1000} onInput={(event) => setReason(event.currentTarget.value)} placeholder="ticket, incident, task" />
      </label>
      <button type="submit" class="primary" disabled={busy}>{busy ? 'Asking …' : 'Ask'}</button>
      {error !== '' && <p class="state state-bad" role="alert"><Text>{error}</Text></p>}
      {resources.error !== undefined && <Failure error={resources.error} what="the resources" retry={resources.reload} />}
      <p class="hint">
        Whether it is given is for the approvers of the resource's rule to say. The request is shown with the <Link to="/approvals">approvals</Link>.
      </p>
    </form>
  );
}
