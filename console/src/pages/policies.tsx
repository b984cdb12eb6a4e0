// The rules in force: read them, ask what they say, try others against the past.
import { useState } from 'preact/hooks';
import { get, messageOf, post } from '../api/client';
import type { DryRun, Explanation, Policies as PoliciesData, Rule } from '../api/types';
import { count, plural } from '../lib/numbers';
import { oneLine } from '../lib/sql';
import { Empty, Failure, Link, Loading, Scroll, Section, Text, Verdict } from '../ui/basics';
import { useLoad, useTitle } from '../ui/hooks';
import { objectName } from '../ui/statement';

export function Policies() {
  useTitle('Policies');
  const { data, error, loading, reload } = useLoad<PoliciesData>('policies', (signal) => get('/v1/policies', {}, signal));
  const [text, setText] = useState('');
  const wanted = text.trim().toLowerCase();
  const rules = (data?.rules ?? []).filter((rule) => wanted === '' || `${rule.name} ${rule.text}`.toLowerCase().includes(wanted));
  return (
    <div class="page">
      <header class="page-head">
        <h1>Policies</h1>
        {data && <span class="hint">version <span class="mono">{data.hash.slice(0, 16)}</span></span>}
        <div class="search" role="search">
          <input type="search" data-search aria-label="Search rules" placeholder="Name or text of a rule" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </div>
      </header>
      {error !== undefined && <Failure error={error} what="the policies" retry={reload} />}
      {data === undefined && loading && <Loading what="the policies" />}
      {data !== undefined && (
        <>
          <Section title="Rules in force">
            {rules.length === 0 ? (
              <Empty><p>{wanted === '' ? 'There is no rule: nothing is allowed.' : 'No rule fits.'}</p></Empty>
            ) : (
              rules.map((rule) => <RuleEntry key={rule.name} rule={rule} />)
            )}
          </Section>
          <Section title="What would happen">
            <Explain />
          </Section>
          <Section title="Other rules against the past">
            <TryOthers rules={data.rules} />
          </Section>
        </>
      )}
    </div>
  );
}

function words(value: string | string[] | null | undefined): string {
  return Array.isArray(value) ? value.join(', ') : (value ?? '');
}

function RuleEntry({ rule }: { rule: Rule }) {
  return (
    <details class="rule">
      <summary data-row>
        <Verdict value={rule.verdict} rule />
        <strong><Text>{rule.name}</Text></strong>
        <span class="hint">
          <Text>
            {[words(rule.who) || 'everybody', words(rule.resources) && `on ${words(rule.resources)}`, words(rule.commands)].filter((part) => part).join(' · ')}
          </Text>
          {rule.on && rule.on !== 'command' && ` · when ${rule.on === 'connect' ? 'connecting' : rule.on}`}
        </span>
      </summary>
      <pre class="yaml" tabIndex={0} role="region" aria-label={`rule ${rule.name}`}>
        <code><Text>{rule.text}</Text></code>
      </pre>
    </details>
  );
}

function Explain() {
  const [form, setForm] = useState({ subject: '', groups: '', issuer: '', resource: '', database: '', sql: '' });
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const [answer, setAnswer] = useState<Explanation | null>(null);
  const field = (name: keyof typeof form, label: string, placeholder = '') => (
    <label>
      {label}
      <input type="text" value={form[name]} placeholder={placeholder} onInput={(event) => setForm({ ...form, [name]: event.currentTarget.value })} />
    </label>
  );
  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError('');
    setAnswer(null);
    try {
      setAnswer(
        await post<Explanation>('/v1/policies/explain', {
          subject: form.subject.trim(),
          groups: form.groups.split(',').map((group) => group.trim()).filter((group) => group !== ''),
          ...(form.issuer.trim() === '' ? {} : { issuer: form.issuer.trim() }),
          resource: form.resource.trim(),
          ...(form.database.trim() === '' ? {} : { database: form.database.trim() }),
          sql: form.sql,
        }),
      );
    } catch (problem) {
      setError(messageOf(problem));
    }
    setBusy(false);
  };
  return (
    <form class="explain" onSubmit={(event) => void ask(event)}>
      <div class="filters">
        {field('subject', 'Identity', 'agent-7')}
        {field('groups', 'Groups', 'support-agents, …')}
        {field('issuer', 'Issuer (optional)')}
        {field('resource', 'Resource', 'production')}
        {field('database', 'Database (optional)')}
      </div>
      <label>
        Statement
        <textarea class="mono" rows={4} spellcheck={false} value={form.sql} placeholder="SELECT …" onInput={(event) => setForm({ ...form, sql: event.currentTarget.value })} />
      </label>
      <div class="buttons">
        <button type="submit" class="primary" disabled={busy}>{busy ? 'Asking …' : 'Explain'}</button>
        <span class="hint">Nothing is run.</span>
      </div>
      {error !== '' && <p class="state state-bad" role="alert"><Text>{error}</Text></p>}
      {answer && <Answer answer={answer} />}
    </form>
  );
}

function Answer({ answer }: { answer: Explanation }) {
  const limits = typeof answer.limits === 'object' && answer.limits !== null ? Object.entries(answer.limits).map(([key, value]) => `${key} ${String(value)}`).join(', ') : answer.limits;
  return (
    <div class="answer-box" role="status">
      <p>
        <Verdict value={answer.verdict} />
        {answer.rule && <> by <strong><Text>{answer.rule}</Text></strong></>}
        {answer.message && <>: <Text>{answer.message}</Text></>}
      </p>
      {words(answer.masked) !== '' && <p>Masked in the answer: <Text>{words(answer.masked)}</Text></p>}
      {limits && <p>Limits: <Text>{limits}</Text></p>}
      {answer.demands && answer.demands.length > 0 && (
        <Scroll label="what the statement demands">
          <table class="list">
            <thead>
              <tr><th scope="col">Effect</th><th scope="col">Verdict</th><th scope="col">Rule</th><th scope="col">Object</th></tr>
            </thead>
            <tbody>
              {answer.demands.map((demand, index) => (
                <tr key={index}>
                  <td>{demand.effect}</td>
                  <td><Verdict value={demand.verdict} /></td>
                  <td><Text>{demand.rule ?? '–'}</Text></td>
                  <td class="mono"><Text>{demand.object ?? `${demand.kind ?? ''} ${objectName(demand)}`.trim()}</Text></td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {answer.text && <pre tabIndex={0} role="region" aria-label="explanation"><code><Text>{answer.text}</Text></code></pre>}
    </div>
  );
}

function recordNumber(record: DryRun['changed'][number]['record']): string {
  return typeof record === 'object' ? String(record.seq) : String(record);
}

function TryOthers({ rules }: { rules: Rule[] }) {
  const current = rules.map((rule) => rule.text.trimEnd()).join('\n');
  const [text, setText] = useState(current);
  const [days, setDays] = useState(7);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const [result, setResult] = useState<(DryRun & { changed_total?: number; unknown?: string[]; incomplete?: boolean }) | null>(null);
  const run = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError('');
    setResult(null);
    try {
      setResult(await post('/v1/policies/dry-run', { policies: text, days }));
    } catch (problem) {
      setError(messageOf(problem));
    }
    setBusy(false);
  };
  return (
    <form class="explain" onSubmit={(event) => void run(event)}>
      <label>
        Rules, as they would stand in the configuration
        <textarea class="mono" rows={14} spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <div class="buttons">
        <label>
          Against the last{' '}
          <select value={String(days)} onChange={(event) => setDays(Number(event.currentTarget.value))}>
            {[1, 7, 30, 90].map((value) => (
              <option key={value} value={String(value)}>{plural(value, 'day')}</option>
            ))}
          </select>
        </label>
        <button type="submit" class="primary" disabled={busy}>{busy ? 'Deciding the past again …' : 'Try'}</button>
        {text !== current && <button type="button" onClick={() => setText(current)}>Back to the rules in force</button>}
        <span class="hint">Nothing is changed.</span>
      </div>
      {error !== '' && <pre class="state state-bad" role="alert"><Text>{error}</Text></pre>}
      {result && <DryRunResult result={result} />}
    </form>
  );
}

function DryRunResult({ result }: { result: DryRun & { changed_total?: number; unknown?: string[]; incomplete?: boolean } }) {
  const total = result.changed_total ?? result.changed.length;
  return (
    <div class="answer-box" role="status">
      <p class="headline">
        {total === 0
          ? `Of ${plural(result.commands, 'command')} none would have been decided otherwise.`
          : `${plural(total, 'command')} of ${count(result.commands)} would have been decided otherwise.`}
      </p>
      {result.incomplete && <p class="warning">The time was not enough for all of them.</p>}
      {Object.keys(result.counts ?? {}).length > 0 && (
        <ul class="counts">
          {Object.entries(result.counts ?? {}).map(([change, n]) => (
            <li key={change}><span class="number">{count(n)}</span> {change}</li>
          ))}
        </ul>
      )}
      {(result.unknown ?? []).map((note, index) => <p class="hint" key={index}><Text>{note}</Text></p>)}
      {result.changed.length > 0 && (
        <Scroll label="commands that would have been decided otherwise">
          <table class="list">
            <thead>
              <tr><th scope="col" class="number">Record</th><th scope="col">Was</th><th scope="col">Would be</th><th scope="col">Who</th><th scope="col">Statement</th></tr>
            </thead>
            <tbody>
              {result.changed.map((change, index) => (
                <tr key={index}>
                  <td class="number"><Link class="mono" to={`/ledger/${recordNumber(change.record)}`}>{recordNumber(change.record)}</Link></td>
                  <td><Verdict value={change.was} />{change.rule_was && <div class="hint"><Text>{change.rule_was}</Text></div>}</td>
                  <td><Verdict value={change.would} />{change.rule_would && <div class="hint"><Text>{change.rule_would}</Text></div>}</td>
                  <td><Text>{change.subject ?? ''}</Text></td>
                  <td class="mono wide"><Text>{oneLine(change.statement ?? '', 160)}</Text></td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </div>
  );
}
