// One request at a glance: who asks, what exactly, on which rows, why it was held, and the answer.
import { useEffect, useState } from 'preact/hooks';
import { get, post } from '../api/client';
import type { ApprovalRequest } from '../api/types';
import { plural } from '../lib/numbers';
import { oneLine } from '../lib/sql';
import { duration, now } from '../lib/time';
import { useLive } from '../ui/app';
import { Chain, Countdown, Drain, Fact, Facts, Failure, Link, Loading, Scroll, Section, Text, Time, Verdict } from '../ui/basics';
import { ActDialog } from '../ui/dialog';
import { useKeys, useLoad, useNow } from '../ui/hooks';
import { Preview } from '../ui/preview';
import { Effects, Statement, StatementSwitch, useStatementForm } from '../ui/statement';

type Act = 'approve' | 'deny' | 'override';

const path = (id: string): string => `/v1/approvals/${encodeURIComponent(id)}`;

export function RequestDetail({ id, back }: { id: string; back: string }) {
  const { data: request, error, loading, reload, set } = useLoad<ApprovalRequest>(path(id), (signal) => get(path(id), {}, signal));
  const [act, setAct] = useState<Act | null>(null);
  useLive((name, event) => {
    if (name === 'return' || (name === 'approval' && event.id === id)) reload();
  });

  const pending = request?.state === 'pending';
  const expires = request?.expires;
  const time = useNow(1000, pending);
  const over = expires !== undefined && Date.parse(expires) <= time;
  useEffect(() => {
    if (!pending || expires === undefined) return undefined;
    // The gateway ends it; ask what became of it when its time is up.
    const timer = setTimeout(reload, Math.min(2 ** 31 - 1, Math.max(1000, Date.parse(expires) - now() + 1500)));
    return () => clearTimeout(timer);
  }, [pending, expires]);

  const may = pending && !over && request?.you?.may_decide === true;
  const mayOverride = pending && !over && request?.you?.may_override === true;
  useKeys({
    ...(may ? { a: () => setAct('approve'), d: () => setAct('deny') } : {}),
    ...(mayOverride ? { o: () => setAct('override') } : {}),
  });

  return (
    <article class="detail" aria-label="request">
      <Link to={back} class="back">
        All requests
      </Link>
      {request === undefined && loading && <Loading what="the request" />}
      {error !== undefined && <Failure error={error} what={request ? 'this request again' : 'this request'} retry={reload} />}
      {request && (
        <>
          {pending && <Drain from={request.created} until={request.expires} />}
          <Head request={request} over={over} />
          <Body request={request} />
          <Answer request={request} may={may} mayOverride={mayOverride} over={over} ask={setAct} />
          {act !== null && (
            <Decide
              request={request}
              act={act}
              onClose={() => setAct(null)}
              onDone={(fresh) => (fresh ? set(fresh) : reload())}
              onFail={reload}
            />
          )}
        </>
      )}
    </article>
  );
}

function Head({ request, over }: { request: ApprovalRequest; over: boolean }) {
  const pending = request.state === 'pending';
  const approved = (request.decisions ?? []).filter((decision) => decision.verdict.startsWith('approve')).length;
  return (
    <header class="request-head">
      <div class="request-state">
        {pending ? (
          <p>
            <Countdown until={request.expires} />
            <span class="hint">
              {over ? ' the gateway is ending it' : request.kind === 'access' ? ' to answer' : ' until the command is refused'}
            </span>
          </p>
        ) : (
          <p>
            <Verdict value={request.state} />
            <span class="hint">
              {' '}
              <Time at={request.decided ?? request.expires} />
            </span>
          </p>
        )}
        {request.approvals_needed > 1 && (
          <p class="hint">
            {approved} of {request.approvals_needed} approvals
          </p>
        )}
      </div>
      <Chain chain={request.chain} subject={request.subject} />
      <h2 class="request-where">
        {request.kind === 'access' ? 'asks for access to ' : 'on '}
        <strong>
          <Text>{request.resource}</Text>
        </strong>
        {request.database && (
          <>
            {' / '}
            <Text>{request.database}</Text>
          </>
        )}
        {request.kind === 'access' && ` for ${duration(request.seconds ?? request.valid_for_seconds ?? 0)}`}
      </h2>
      {(request.purpose || request.reason) && (
        <blockquote class="purpose" cite="">
          <span class="hint">{request.purpose ? 'purpose, in its own words' : 'reason, in its own words'}</span>
          <Text>{request.purpose ?? request.reason}</Text>
        </blockquote>
      )}
    </header>
  );
}

const SCOPES: Record<string, string> = {
  once: 'this one command, now',
  session: 'this command in this session',
  for_session: 'this command in this session',
  task: 'this command for this task, in any session',
  for_task: 'this command for this task, in any session',
};

function scopeText(request: ApprovalRequest): string {
  const scope = request.scope ?? 'once';
  const valid = request.valid_for_seconds;
  const words = SCOPES[scope] ?? scope;
  return scope !== 'once' && valid ? `${words}, for ${duration(valid)}` : words;
}

function Body({ request }: { request: ApprovalRequest }) {
  const { command } = request;
  const form = useStatementForm(command);
  const waiters = request.waiters ?? 1;
  return (
    <>
      {request.risk && request.risk.length > 0 && (
        <Section title="Look at this first">
          <ul class="risks">
            {request.risk.map((risk, index) => (
              <li key={index}>
                <Text>{risk}</Text>
              </li>
            ))}
          </ul>
        </Section>
      )}
      {command && (
        <Section title="What exactly" aside={<StatementSwitch form={form} />}>
          <Statement command={command} form={form} />
          {command.objects && command.objects.length > 0 && <Effects facts={command.objects} />}
        </Section>
      )}
      {request.kind === 'command' && (
        <Section title={request.preview?.kind === 'dependents' ? 'What depends on it' : 'On which rows'}>
          <Preview preview={request.preview} />
          {request.in_transaction && (
            <p class="warning">
              <strong>It is inside a transaction.</strong> What that has locked stays locked while this waits.
            </p>
          )}
        </Section>
      )}
      <Section title="Why it was held">
        <p>
          Rule <strong><Text>{request.rule ?? 'none'}</Text></strong>
          {request.message && (
            <>
              {': '}
              <Text>{request.message}</Text>
            </>
          )}
        </p>
        {request.rule_text && (
          <pre class="yaml" tabIndex={0} role="region" aria-label="the rule">
            <code>
              <Text>{request.rule_text}</Text>
            </code>
          </pre>
        )}
        <p class="hint">
          An approval serves {scopeText(request)}.
          {waiters > 1 && ` ${plural(waiters, 'identical command')} of this kind wait for it.`}
        </p>
      </Section>
      {request.kind === 'command' && (
        <Section
          title="The session so far"
          aside={request.session ? <Link to={`/sessions/${encodeURIComponent(request.session)}`}>Whole session</Link> : undefined}
        >
          <Recent request={request} />
        </Section>
      )}
      {request.decisions && request.decisions.length > 0 && <Decisions request={request} />}
      <Section title="Particulars">
        <Facts>
          <Fact name="Request"><span class="mono">{request.id}</span></Fact>
          <Fact name="Asked"><Time at={request.created} /></Fact>
          <Fact name="Session">{request.session && <Link class="mono" to={`/sessions/${encodeURIComponent(request.session)}`}>{request.session}</Link>}</Fact>
          <Fact name="Client">{request.client && <Text>{request.client}</Text>}</Fact>
          <Fact name="From">{request.source && <span class="mono"><Text>{request.source}</Text></span>}</Fact>
          <Fact name="Issuer">{request.issuer && <Text>{request.issuer}</Text>}</Fact>
          <Fact name="Token">{request.token_id && <span class="mono"><Text>{request.token_id}</Text></span>}</Fact>
          <Fact name="Who may approve">{approversText(request)}</Fact>
          <Fact name="Hash of the command">{command?.hash && <span class="mono break">{command.hash}</span>}</Fact>
        </Facts>
      </Section>
    </>
  );
}

function approversText(request: ApprovalRequest): string {
  const groups = request.approvers?.groups ?? [];
  const subjects = request.approvers?.subjects ?? [];
  const parts = [groups.length > 0 ? `group ${groups.join(', ')}` : '', subjects.length > 0 ? subjects.join(', ') : ''];
  return parts.filter((part) => part !== '').join('; ') || 'nobody is named';
}

function Recent({ request }: { request: ApprovalRequest }) {
  const recent = request.recent ?? [];
  if (recent.length === 0) return <p class="hint">This is the first command of the session.</p>;
  return (
    <Scroll label="the session so far">
      <table class="recent">
        <tbody>
          {recent.map((entry, index) => (
            <tr key={index}>
              <td><Time at={entry.at} form="clock" /></td>
              <td><Verdict value={entry.verdict} /></td>
              <td class="mono"><Text>{oneLine(entry.text, 200)}</Text></td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Decisions({ request }: { request: ApprovalRequest }) {
  return (
    <Section title="Answers">
      <ul class="decisions">
        {(request.decisions ?? []).map((decision, index) => (
          <li key={index}>
            <Verdict value={decision.verdict} /> by <strong><Text>{decision.name || decision.subject}</Text></strong>
            <span class="hint">
              {' '}
              <Time at={decision.at} />
              {decision.channel && `, by ${decision.channel}`}
            </span>
            {decision.reason && (
              <blockquote>
                <Text>{decision.reason}</Text>
              </blockquote>
            )}
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Answer({ request, may, mayOverride, over, ask }: { request: ApprovalRequest; may: boolean; mayOverride: boolean; over: boolean; ask: (act: Act) => void }) {
  if (request.state !== 'pending') return null;
  return (
    <footer class="answer" aria-label="your answer" role="group">
      {may && (
        <>
          <button type="button" class="primary" onClick={() => ask('approve')}>
            Approve <kbd>a</kbd>
          </button>
          <button type="button" class="danger" onClick={() => ask('deny')}>
            Deny <kbd>d</kbd>
          </button>
        </>
      )}
      {mayOverride && (
        <button type="button" class="quiet" onClick={() => ask('override')}>
          Override <kbd>o</kbd>
        </button>
      )}
      {!may && (
        <p>
          {over ? (
            'Its time is up.'
          ) : (
            <>
              You cannot decide this. <Text>{request.you?.why_not ?? 'The rule does not name you.'}</Text>
            </>
          )}
        </p>
      )}
    </footer>
  );
}

function Decide({ request, act, onClose, onDone, onFail }: { request: ApprovalRequest; act: Act; onClose: () => void; onDone: (fresh: ApprovalRequest | undefined) => void; onFail: () => void }) {
  const send = async (reason: string): Promise<void> => {
    try {
      const fresh = await post<ApprovalRequest | undefined>(`${path(request.id)}/${act}`, reason === '' ? {} : { reason });
      onDone(fresh && fresh.id === request.id ? fresh : undefined);
    } catch (error) {
      // Somebody else may have been quicker: what is behind the dialog should say so.
      onFail();
      throw error;
    }
  };
  const what = request.kind === 'access' ? `access to ${request.resource}` : oneLine(request.command?.text ?? '', 240);
  const words = {
    approve: { title: 'Approve', button: 'Approve', label: 'Why', hint: 'Goes into the ledger.' },
    deny: { title: 'Deny', button: 'Deny', label: 'Why not', hint: 'The client is told these words.' },
    override: {
      title: 'Override',
      button: 'Override and let it run',
      label: 'Why this cannot wait for the approvers',
      hint: 'It is marked in the ledger as overridden.',
    },
  }[act];
  return (
    <ActDialog
      title={`${words.title} ${request.kind === 'access' ? 'access' : 'this command'}?`}
      button={words.button}
      tone={act === 'approve' ? 'primary' : 'danger'}
      reasonLabel={words.label}
      reasonHint={words.hint}
      required={act === 'override' || (act === 'approve' && request.reason_required === true)}
      act={send}
      onClose={onClose}
    >
      {act === 'override' && (
        <p class="warning">
          <strong>This breaks the glass.</strong> You decide alone, and everybody who can be notified is.
        </p>
      )}
      <p class="dialog-what mono">
        <Text>{what}</Text>
      </p>
      <p>
        For <strong><Text>{request.subject}</Text></strong> on <strong><Text>{request.resource}</Text></strong>
        {act === 'approve' && <>; serves {scopeText(request)}</>}.
      </p>
    </ActDialog>
  );
}
