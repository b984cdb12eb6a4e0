// A gateway's state as the console could find it: for the tests against the mock server, for
// development and for the pictures in docs/console.md. Everything is relative to `base`.
import type {
  Access, ApprovalRequest, LedgerRecord, Me, Overview, Policies, RecordingEvent, Resource, Session,
} from '../../../console/src/api/types';

export interface World {
  me: Me;
  approvals: ApprovalRequest[];
  sessions: Session[];
  recordings: Record<string, RecordingEvent[]>;
  ledger: LedgerRecord[];
  resources: Resource[];
  policies: Policies;
  overview: Overview;
  access: Access[];
}

const HASH = '9f2c4e1ab7d05836f1c2a4be9077d1e5a3b8c6d4e2f0918273645566778899aa';
const LIVE = '00000000000597ea';
const CLOSED = '0000000000059701';

function sessionsOf(at: (seconds: number) => string): Session[] {
  return [
    {
      id: LIVE, state: 'live', subject: 'executor-7', issuer: 'corp', chain: ['anna.meyer@example.com', 'planner-3', 'executor-7'],
      resource: 'production', protocol: 'postgres', database: 'shop', client: 'psql', source: '10.20.4.31:52114', opened: at(-184),
      purpose: 'OPS-4411: add a currency to orders', commands: 6, denied: 1, rows: 48,
      recording: { bytes: 18211, chunks: 9, rows: true, legal_hold: false },
    },
    {
      id: '00000000000597f1', state: 'live', subject: 'report-agent', issuer: 'corp', chain: ['report-agent'], resource: 'analytics',
      protocol: 'postgres', database: 'sales', client: 'psycopg2', source: '10.20.4.77:41022', opened: at(-3120), commands: 212,
      denied: 0, rows: 90211, recording: { bytes: 812345, chunks: 391, rows: false, legal_hold: false },
    },
    {
      id: CLOSED, state: 'closed', subject: 'executor-7', issuer: 'corp', chain: ['anna.meyer@example.com', 'planner-3', 'executor-7'],
      resource: 'production', protocol: 'postgres', database: 'shop', client: 'psql', source: '10.20.4.31:51990', opened: at(-5400),
      closed: at(-5310), reason: 'ended', commands: 4, denied: 1, rows: 12,
      recording: { bytes: 9120, chunks: 5, ended: at(-5310), rows: true, legal_hold: false, retain_until: at(90 * 86400) },
    },
    {
      id: '00000000000596c0', state: 'closed', subject: 'cleanup-bot', issuer: 'corp', chain: ['jo.li@example.com', 'cleanup-bot'],
      resource: 'staging', protocol: 'postgres', database: 'shop', client: 'JDBC', source: '10.20.9.12:39001', opened: at(-86400),
      closed: at(-86100), reason: 'killed', commands: 31, denied: 9, rows: 1204, recording: null,
    },
  ];
}

const REQUEST_BASE = {
  kind: 'command' as const,
  issuer: 'corp',
  protocol: 'postgres',
  decisions: [],
  approvals_needed: 1,
  scope: 'once',
  valid_for_seconds: 0,
};

function pendingOf(at: (seconds: number) => string): ApprovalRequest[] {
  const chain = ['anna.meyer@example.com', 'planner-3', 'executor-7'];
  return [
    {
      ...REQUEST_BASE,
      id: 'q7m2kd5xw3hvna4t', state: 'pending', created: at(-118), expires: at(482), wait_seconds: 600,
      rule: 'schema changes need a human',
      rule_text: '- name: schema changes need a human\n  resources: {labels: {env: production}}\n  commands: [ddl, grant]\n  step_up:\n    approvers: {groups: [dba]}\n    approvals: 1\n    wait: 10m\n',
      purpose: 'OPS-4411: add a currency to orders', session: LIVE, chain, subject: 'executor-7', token_id: 'tok-8841', resource: 'production',
      database: 'shop', client: 'psql', source: '10.20.4.31:52114',
      command: {
        text: "alter table public.orders add column currency text not null default 'EUR', alter column total type numeric(12,2);",
        formatted: "ALTER TABLE public.orders\n    ADD COLUMN currency text NOT NULL DEFAULT 'EUR',\n    ALTER COLUMN total TYPE numeric(12, 2);",
        classes: ['ddl', 'alter-table'], objects: [{ effect: 'ddl', kind: 'relation', schema: 'public', name: 'orders', classes: ['alter-table'] }],
        binds: [], hash: HASH,
      },
      in_transaction: true,
      preview: {
        kind: 'dependents', objects: [
          { kind: 'view', schema: 'reporting', name: 'daily_sales' }, { kind: 'view', schema: 'reporting', name: 'open_orders' },
          { kind: 'index', schema: 'public', name: 'orders_total_idx' }, { kind: 'foreign key', schema: 'public', name: 'order_items.order_id' },
        ],
      },
      risk: ['Changing the type of a column rewrites the whole table and locks it meanwhile.', 'The session holds locks in a transaction that is open since 1 min.'],
      approvers: { groups: ['dba'], subjects: [] },
      recent: [
        { at: at(-180), text: 'set bulkhead.purpose = \'OPS-4411: add a currency to orders\'', verdict: 'allow', rule: 'sessions' },
        { at: at(-170), text: "select column_name, data_type from information_schema.columns where table_name = 'orders'", verdict: 'allow', rule: 'support reads orders' },
        { at: at(-150), text: 'select count(*) from public.orders where total > 99999999', verdict: 'allow', rule: 'support reads orders' },
        { at: at(-131), text: 'select email from public.customers limit 5', verdict: 'deny', rule: 'no personal data' },
        { at: at(-120), text: 'begin', verdict: 'allow', rule: 'sessions' },
      ],
      you: { may_decide: true, may_override: false },
      link: 'https://gw.example.com:9443/approvals/q7m2kd5xw3hvna4t',
    },
    {
      ...REQUEST_BASE,
      id: 'b4t6zr2ye5gqoc7s', state: 'pending', created: at(-20), expires: at(40), wait_seconds: 60, rule: 'many rows need two humans',
      rule_text: '- name: many rows need two humans\n  commands: [update, delete]\n  step_up:\n    approvers: {groups: [dba, on-call]}\n    approvals: 2\n    reason_required: true\n    preview: dry_run\n',
      purpose: null, session: '00000000000597f4', chain: ['jo.li@example.com', 'cleanup-bot'], subject: 'cleanup-bot', token_id: 'tok-9012',
      resource: 'production', database: 'shop', client: 'psycopg2', source: '10.20.9.12:40118',
      command: {
        text: "update public.orders set status = $1 where status = 'open' and created < $2",
        formatted: "UPDATE public.orders\nSET status = $1\nWHERE status = 'open'\n    AND created < $2",
        classes: ['write', 'update'],
        objects: [
          { effect: 'write', kind: 'relation', schema: 'public', name: 'orders', classes: ['update'] },
          { effect: 'read', kind: 'relation', schema: 'public', name: 'orders', classes: [] },
        ],
        binds: [{ type: 25, text: 'cancelled' }, { type: 1082, text: '2026-01-01' }], hash: HASH.replace('9f', '1e'),
      },
      preview: {
        kind: 'dry_run', rows: 1284,
        before: { columns: ['id', 'customer', 'status', 'created'], rows: [[4411, 'c-***', 'open', '2025-11-02'], [4415, 'c-***', 'open', '2025-11-02'], [4420, 'c-***', 'open', '2025-11-03']] },
        after: { columns: ['id', 'customer', 'status', 'created'], rows: [[4411, 'c-***', 'cancelled', '2025-11-02'], [4415, 'c-***', 'cancelled', '2025-11-02'], [4420, 'c-***', 'cancelled', '2025-11-03']] },
      },
      risk: ['It changes 1,284 rows.'], approvals_needed: 2, reason_required: true,
      approvers: { groups: ['dba', 'on-call'], subjects: [] },
      decisions: [{ subject: 'sam.okafor@example.com', name: 'Sam Okafor', verdict: 'approve', reason: 'the agreed clean-up', channel: 'slack', at: at(-9) }],
      recent: [], you: { may_decide: true, may_override: true },
    },
    {
      ...REQUEST_BASE,
      id: 'h5p3aw6nlk2dxe4v', state: 'pending', created: at(-31), expires: at(569), wait_seconds: 600, rule: 'deletes need a human',
      rule_text: '- name: deletes need a human\n  commands: [delete]\n  step_up: {approvers: {groups: [dba]}, preview: estimate}\n',
      session: '0000000000059802', chain: ['mallory@example.com', 'agent-x'], subject: 'agent-x', token_id: 'tok-6660', resource: 'production',
      database: 'shop', client: 'psql\u0007', source: '10.20.66.6:50001', purpose: 'tidy up \u202etxet\u202c please',
      command: {
        text: `delete from public.\u0430udit_log where id = 1 /* harmless \u202e */ or true\u202c${' '.repeat(300)}or 1=1;\u200b`,
        formatted: 'DELETE FROM public.audit_log WHERE id = 1',
        classes: ['write', 'delete', 'mass-write'], objects: [{ effect: 'write', kind: 'relation', schema: 'public', name: '\u0430udit_log', classes: ['delete', 'mass-write'] }],
        binds: [], hash: HASH.replace('9f', '66'),
      },
      preview: { kind: 'estimate', rows: 5210044, text: 'Delete on audit_log  (cost=0.00..98123.44 rows=5210044 width=6)\n  ->  Seq Scan on audit_log' },
      risk: ['The WHERE clause is true for every row.', 'The statement holds characters that hide what it does.'],
      approvers: { groups: ['dba'], subjects: [] }, recent: [],
      you: { may_decide: false, why_not: 'You asked for it: dana.fox@example.com is in the chain of this request.', may_override: false },
    },
    {
      ...REQUEST_BASE, kind: 'access',
      id: 'm6c4jv7rq2tbsx5k', state: 'pending', created: at(-240), expires: at(3360), wait_seconds: 3600, rule: 'production on request',
      rule_text: '- name: production on request\n  on: connect\n  resources: {names: [production]}\n  step_up: {approvers: {groups: [on-call]}, valid_for: 2h}\n',
      chain: ['ines.ruiz@example.com'], subject: 'ines.ruiz@example.com', resource: 'production', reason: 'INC-2207: orders stuck in "open"',
      seconds: 7200, approvers: { groups: ['on-call'], subjects: [] }, valid_for_seconds: 7200, recent: [], you: { may_decide: true, may_override: false },
    },
  ];
}

function decidedOf(at: (seconds: number) => string): ApprovalRequest[] {
  const make = (id: string, seconds: number, state: ApprovalRequest['state'], text: string, by: string, verdict: string, reason: string): ApprovalRequest => ({
    ...REQUEST_BASE,
    id, state, created: at(seconds - 90), expires: at(seconds + 500), decided: at(seconds), rule: 'schema changes need a human',
    rule_text: '- name: schema changes need a human\n  commands: [ddl]\n  step_up: {approvers: {groups: [dba]}}\n', session: CLOSED,
    chain: ['anna.meyer@example.com', 'planner-3', 'executor-7'], subject: 'executor-7', resource: 'production', database: 'shop', client: 'psql',
    command: { text, formatted: text, classes: ['ddl'], objects: [], binds: [], hash: HASH }, preview: { kind: 'none' }, risk: [],
    approvers: { groups: ['dba'], subjects: [] },
    decisions: by === '' ? [] : [{ subject: by, name: by.split('@')[0] ?? by, verdict, reason, channel: 'console', at: at(seconds) }],
    recent: [], you: { may_decide: false, why_not: 'It is decided.', may_override: false },
  });
  return [
    make('a2x4v6n7m3k5j2h4', -5320, 'approved', 'create index concurrently orders_status_idx on public.orders (status)', 'dana.fox@example.com', 'approve', 'outside busy hours'),
    make('c3d5f7g2h4j6k3l5', -9100, 'denied', 'drop table public.orders_old', 'sam.okafor@example.com', 'deny', 'Finance still reads it. Ask again after the close.'),
    make('e4r6t3y5u7i2o4p6', -90000, 'expired', 'alter table public.customers drop column fax', '', '', ''),
    make('w5e7r2t4y6u3i5o7', -180000, 'overridden', 'alter table public.orders disable trigger audit', 'lee.park@example.com', 'override', 'INC-2189: writes blocked, approvers not reachable'),
  ];
}

export function filmOf(): RecordingEvent[] {
  const events: RecordingEvent[] = [{ t: 0, kind: 'opened', text: 'executor-7 on production / shop by psql' }];
  const statement = (t: number, text: string, verdict: string, rule: string, more: RecordingEvent[] = []): void => {
    events.push({ t, kind: 'statement', command: events.length, text, verdict, rule, database: 'shop' }, ...more);
  };
  statement(3.1, "select column_name, data_type from information_schema.columns where table_name = 'orders'", 'allow', 'support reads orders', [
    { t: 3.14, kind: 'columns', columns: [{ name: 'column_name', type: 'name' }, { name: 'data_type', type: 'text' }] },
    { t: 3.15, kind: 'rows', rows: [['id', 'bigint'], ['customer', 'text'], ['status', 'text'], ['total', 'numeric'], ['created', 'date']] },
    { t: 3.16, kind: 'outcome', rows: 5, bytes: 210, duration_ms: 12 },
  ]);
  statement(9.5, 'select email from public.customers limit 5', 'deny', 'no personal data', [
    { t: 9.51, kind: 'outcome', error: '42501: personal data: ask data-protection@example.com', duration_ms: 0 },
  ]);
  statement(31.0, 'select id, customer, total from public.orders order by total desc limit 3', 'modify', 'support reads orders', [
    { t: 31.05, kind: 'columns', columns: [{ name: 'id' }, { name: 'customer' }, { name: 'total' }] },
    { t: 31.06, kind: 'rows', rows: [[9911, 'c-***', 88123.4], [4402, 'c-***', 71002], [1207, 'c-***', null]] },
    { t: 31.07, kind: 'outcome', rows: 3, bytes: 96, duration_ms: 41, masked: 3 },
  ]);
  statement(40.2, 'create index concurrently orders_status_idx on public.orders (status)', 'step_up', 'schema changes need a human', [
    { t: 40.25, kind: 'note', text: 'waits for approval a2x4v6n7m3k5j2h4 by group dba' },
    { t: 73.9, kind: 'decision', verdict: 'approved', request: 'a2x4v6n7m3k5j2h4', by: 'dana.fox@example.com', text: 'outside busy hours' },
    { t: 81.3, kind: 'outcome', rows: 0, duration_ms: 7380 },
  ]);
  events.push({ t: 90, kind: 'closed', text: 'ended' });
  return events;
}

function ledgerOf(at: (seconds: number) => string): LedgerRecord[] {
  const records: LedgerRecord[] = [];
  const hash = (n: number): string => n.toString(16).padStart(2, '0').repeat(32);
  const add = (seconds: number, type: string, fields: Record<string, unknown>): void => {
    const seq = records.length + 1;
    records.push({ seq, time: at(seconds), type, ...fields, prev: hash(seq - 1), hash: hash(seq) });
  };
  const identity = { subject: 'executor-7', issuer: 'corp', token_id: 'tok-8841', groups: ['support-agents'], delegation: ['anna.meyer@example.com', 'planner-3', 'executor-7'] };
  const who = { session: CLOSED, subject: 'executor-7', resource: 'production' };
  add(-90000, 'service_started', { service: 'supervisor', detail: 'version 0.2.0' });
  add(-90000, 'configuration_loaded', { path: '/etc/bulkhead/bulkhead.yaml', digest: HASH, policy_hash: HASH });
  add(-5400, 'session_opened', { ...who, n: 1, source: '10.20.4.31:51990', protocol: 'postgres', identity, database: 'shop', client: 'psql' });
  const command = (seconds: number, n: number, verdict: string, rule: string | null, statement: string, facts: unknown[], message: string | null = null): void =>
    add(seconds, 'command_intent', { ...who, n: n + 1, command: n, identity, database: 'shop', verdict, rule, message, policy_hash: HASH, statement, binds: [], facts });
  const outcome = (seconds: number, n: number, rows: number, error: string | null = null): void =>
    add(seconds, 'command_outcome', { ...who, n: n + 2, command: n, rows, bytes: rows * 40, duration_us: 12_345, error });
  command(-5397, 1, 'allow', 'support reads orders', "select column_name, data_type from information_schema.columns where table_name = 'orders'", [{ effect: 'read', classes: [], kind: 'relation', schema: 'information_schema', name: 'columns' }]);
  outcome(-5397, 1, 5);
  command(-5390, 2, 'deny', 'no personal data', 'select email from public.customers limit 5', [{ effect: 'read', classes: [], kind: 'relation', schema: 'public', name: 'customers' }], 'personal data: ask data-protection@example.com');
  command(-5369, 3, 'modify', 'support reads orders', 'select id, customer, total from public.orders order by total desc limit 3', [{ effect: 'read', classes: [], kind: 'relation', schema: 'public', name: 'orders' }]);
  outcome(-5369, 3, 3);
  command(-5360, 4, 'step_up', 'schema changes need a human', 'create index concurrently orders_status_idx on public.orders (status)', [{ effect: 'ddl', classes: ['create-index'], kind: 'relation', schema: 'public', name: 'orders' }]);
  add(-5326, 'admin_action', { actor: 'dana.fox@example.com', action: 'approval', target: 'a2x4v6n7m3k5j2h4', detail: 'approved: outside busy hours' });
  add(-5326, 'command_decision', { ...who, n: 7, command: 4, verdict: 'allow', request: 'a2x4v6n7m3k5j2h4', text: 'approved by dana.fox@example.com: outside busy hours' });
  outcome(-5319, 4, 0);
  add(-5310, 'session_closed', { ...who, source: '10.20.4.31:51990', protocol: 'postgres', reason: 'ended', commands: 4, denied: 1, bytes_in: 812, bytes_out: 2210, duration_us: 90_000_000 });
  for (let n = 1; n <= 130; n += 1) {
    add(-4000 + n * 20, 'command_intent', {
      session: '00000000000597f1', subject: 'report-agent', resource: 'analytics', n, command: n, identity: { ...identity, subject: 'report-agent' }, database: 'sales',
      verdict: n % 40 === 0 ? 'deny' : 'allow', rule: n % 40 === 0 ? 'no personal data' : 'analysts read', message: null, policy_hash: HASH,
      statement: `select region, sum(total) from reporting.daily_sales where day = date '2026-11-${String((n % 28) + 1).padStart(2, '0')}' group by region`, binds: [],
      facts: [{ effect: 'read', classes: [], kind: 'relation', schema: 'reporting', name: 'daily_sales' }],
    });
  }
  return records;
}

const RESOURCES: Resource[] = [
  {
    name: 'analytics', protocol: 'postgres', labels: { env: 'production', data: 'aggregated' }, contact: 'data-platform@example.com', address_hint: 'analytics-db.internal',
    databases: ['sales'], you: { allowed: true, text: 'You may read, by rule "analysts read".' },
    connect: [
      { client: 'psql', line: 'PGPASSWORD=$TOKEN psql "host=gw.example.com port=5432 user=analytics dbname=sales sslmode=verify-full"' },
      { client: 'psycopg', line: 'psycopg.connect(host="gw.example.com", port=5432, user="analytics", password=token, dbname="sales", sslmode="verify-full")' },
      { client: 'JDBC', line: 'jdbc:postgresql://gw.example.com:5432/sales?user=analytics&sslmode=verify-full' },
    ],
  },
  {
    name: 'production', protocol: 'postgres', labels: { env: 'production', data: 'personal' }, contact: 'platform@example.com', address_hint: 'db1.internal',
    databases: ['shop'], you: { allowed: false, text: 'No rule lets you connect. Rule "production on request" gives access for a while.' },
    connect: [{ client: 'psql', line: 'PGPASSWORD=$TOKEN psql "host=gw.example.com port=5432 user=production dbname=shop sslmode=verify-full"' }],
  },
  {
    name: 'staging', protocol: 'postgres', labels: { env: 'test' }, contact: 'platform@example.com', you: { allowed: true, text: 'You may do everything but drop the database.' },
    connect: [{ client: 'psql', line: 'PGPASSWORD=$TOKEN psql "host=gw.example.com port=5432 user=staging dbname=shop sslmode=verify-full"' }],
  },
];

const POLICIES: Policies = {
  hash: HASH,
  rules: [
    { name: 'analysts read', verdict: 'allow', on: 'command', who: 'groups analytics-agents', resources: 'label data=aggregated', commands: ['read', 'session'], text: '- name: analysts read\n  who: {groups: [analytics-agents]}\n  resources: {labels: {data: aggregated}}\n  allow: [read, session]\n' },
    { name: 'support reads orders', verdict: 'allow', on: 'command', who: 'groups support-agents', resources: 'production', commands: ['read', 'session'], text: '- name: support reads orders\n  who: {groups: [support-agents]}\n  resources: {names: [production]}\n  allow: [read, session]\n' },
    { name: 'schema changes need a human', verdict: 'step_up', on: 'command', who: '', resources: 'label env=production', commands: ['ddl', 'grant'], text: '- name: schema changes need a human\n  resources: {labels: {env: production}}\n  commands: [ddl, grant]\n  step_up: {approvers: {groups: [dba]}, approvals: 1, wait: 10m}\n' },
    { name: 'production on request', verdict: 'step_up', on: 'connect', who: 'groups engineers', resources: 'production', commands: [], text: '- name: production on request\n  on: connect\n  who: {groups: [engineers]}\n  resources: {names: [production]}\n  step_up: {approvers: {groups: [on-call]}, valid_for: 2h}\n' },
    { name: 'no personal data', verdict: 'deny', on: 'command', who: '', resources: '', commands: [], text: '- name: no personal data\n  tables: [public.customers]\n  deny: "personal data: ask data-protection@example.com"\n' },
  ],
};

function overviewOf(now: number): Overview {
  const edges = [
    { identity: 'report-agent', resource: 'analytics', commands: 18240, refused: 130, rows: 4_402_133 },
    { identity: 'executor-7', resource: 'production', commands: 2210, refused: 412, rows: 33_120 },
    { identity: 'executor-7', resource: 'staging', commands: 5120, refused: 22, rows: 80_010 },
    { identity: 'cleanup-bot', resource: 'staging', commands: 940, refused: 310, rows: 12_400 },
    { identity: 'cleanup-bot', resource: 'production', commands: 88, refused: 61, rows: 402 },
    { identity: 'ines.ruiz@example.com', resource: 'production', commands: 41, refused: 0, rows: 310 },
  ];
  const hours = 7 * 24;
  const start = Math.floor(now / 3_600_000) * 3_600_000 - (hours - 1) * 3_600_000;
  const series = Array.from({ length: hours }, (_, i) => {
    const time = new Date(start + i * 3_600_000);
    const day = Math.max(0, Math.sin(((time.getUTCHours() - 5) / 24) * 2 * Math.PI));
    const noise = ((i * 7919) % 97) / 97;
    const commands = Math.round(20 + day * 260 * (0.6 + 0.4 * noise));
    return { time: time.toISOString(), commands, refused: Math.round(commands * 0.03 * (noise + 0.2)), approvals: noise > 0.8 && day > 0.2 ? Math.round(noise * 4) : 0 };
  });
  const ids = <T>(values: T[]): T[] => [...new Set(values)];
  return {
    nodes: [
      ...ids(edges.map((edge) => edge.identity)).map((id) => ({ id, kind: 'identity' as const })),
      ...ids(edges.map((edge) => edge.resource)).map((id) => ({ id, kind: 'resource' as const })),
    ],
    edges,
    series,
  };
}

export function makeWorld(now: number = Date.now()): World {
  const at = (seconds: number): string => new Date(now + seconds * 1000).toISOString().replace('Z', '000Z');
  return {
    me: {
      subject: 'dana.fox@example.com', issuer: 'corp', name: 'Dana Fox', email: 'dana.fox@example.com', groups: ['dba', 'on-call', 'engineers'],
      roles: ['viewer', 'auditor', 'admin'], csrf: 'csrf-of-the-mock', expires: at(8 * 3600),
    },
    approvals: [...pendingOf(at), ...decidedOf(at)],
    sessions: sessionsOf(at),
    recordings: { [CLOSED]: filmOf(), [LIVE]: filmOf().slice(0, 11) },
    ledger: ledgerOf(at),
    resources: RESOURCES,
    policies: POLICIES,
    overview: overviewOf(now),
    access: [
      { id: 'g1', subject: 'sam.okafor@example.com', issuer: 'corp', resource: 'production', rule: 'production on request', state: 'active', created: at(-3000), expires: at(4200), reason: 'INC-2207: orders stuck', you: { may_revoke: true } },
      { id: 'g2', subject: 'dana.fox@example.com', issuer: 'corp', resource: 'staging', rule: 'staging on request', state: 'expired', created: at(-90000), expires: at(-82800), reason: 'load test' },
    ],
  };
}
