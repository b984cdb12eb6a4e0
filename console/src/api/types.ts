// What the API answers (/v1/openapi.json). Fields marked `?` may be absent, null or empty.

export type Maybe<T> = T | null | undefined;

export interface Me {
  subject: string;
  issuer: string;
  name?: Maybe<string>;
  email?: Maybe<string>;
  groups: string[];
  roles: string[];
  // null where a bearer token was shown instead of a cookie.
  csrf: Maybe<string>;
  expires: Maybe<string>;
  chain?: Maybe<string[]>;
  push_configured?: Maybe<boolean>;
}

export interface Page<T> {
  items: T[];
  next?: Maybe<string>;
}

export interface Token {
  kind: string;
  text: string;
}

export interface Bind {
  type?: Maybe<number | string>;
  null?: Maybe<boolean>;
  text?: Maybe<string>;
  base64?: Maybe<string>;
  full_length?: Maybe<number>;
  cut?: Maybe<boolean>;
}

export interface Fact {
  effect: string;
  kind?: Maybe<string>;
  schema?: Maybe<string>;
  name?: Maybe<string>;
  classes?: Maybe<string[]>;
}

export interface Command {
  text: string;
  formatted?: Maybe<string>;
  tokens?: Maybe<Token[]>;
  classes?: Maybe<string[]>;
  objects?: Maybe<Fact[]>;
  binds?: Maybe<Bind[]>;
  binds_left_out?: Maybe<number>;
  context?: Maybe<string>;
  cut?: Maybe<boolean>;
  hash?: Maybe<string>;
}

// A value of a row; an object stands for bytes that are not text, or for what was left out.
export type Cell = string | number | boolean | null | { text?: string; base64?: string; full_length?: number | null };

export interface Sample {
  columns: (string | Column)[];
  rows: Cell[][];
}

export interface Dependent {
  kind?: Maybe<string>;
  schema?: Maybe<string>;
  name?: Maybe<string>;
  text?: Maybe<string>;
}

export interface Preview {
  kind: 'estimate' | 'dry_run' | 'dependents' | 'none';
  rows?: Maybe<number>;
  text?: Maybe<string>;
  before?: Maybe<Sample>;
  after?: Maybe<Sample>;
  objects?: Maybe<(string | Dependent)[]>;
  error?: Maybe<string>;
}

export interface Decision {
  subject: string;
  name?: Maybe<string>;
  verdict: string;
  reason?: Maybe<string>;
  channel?: Maybe<string>;
  at: string;
}

export interface Recent {
  at: string;
  text: string;
  verdict: string;
  rule?: Maybe<string>;
}

export type RequestState = 'pending' | 'approved' | 'denied' | 'expired' | 'withdrawn' | 'overridden';

export interface ApprovalRequest {
  id: string;
  kind: 'command' | 'access';
  state: RequestState;
  created: string;
  expires: string;
  decided?: Maybe<string>;
  decided_by?: Maybe<string>;
  decided_text?: Maybe<string>;
  wait_seconds?: Maybe<number>;
  rule?: Maybe<string>;
  rule_text?: Maybe<string>;
  purpose?: Maybe<string>;
  reason?: Maybe<string>;
  access_seconds?: Maybe<number>;
  task?: Maybe<string>;
  session?: Maybe<string>;
  chain: string[];
  subject: string;
  issuer: string;
  token_id?: Maybe<string>;
  resource: string;
  protocol?: Maybe<string>;
  database?: Maybe<string>;
  client?: Maybe<string>;
  source?: Maybe<string>;
  command?: Maybe<Command>;
  in_transaction?: Maybe<boolean>;
  preview?: Maybe<Preview>;
  risk?: Maybe<string[]>;
  approvals_needed: number;
  approvers?: Maybe<{ groups?: Maybe<string[]>; subjects?: Maybe<string[]> }>;
  decisions?: Maybe<Decision[]>;
  recent?: Maybe<Recent[]>;
  you?: Maybe<{ may_decide: boolean; why_not?: Maybe<string>; may_override?: Maybe<boolean> }>;
  link?: Maybe<string>;
  scope?: Maybe<string>;
  valid_for_seconds?: Maybe<number>;
  waiting?: Maybe<boolean>;
  reason_required?: Maybe<boolean>;
}

export interface Access {
  id: string;
  subject: string;
  issuer?: Maybe<string>;
  resource: string;
  rule?: Maybe<string>;
  live: boolean;
  by?: Maybe<string>;
  created: string;
  expires: string;
  revoked?: Maybe<string>;
  revoked_by?: Maybe<string>;
  revoked_reason?: Maybe<string>;
  reason?: Maybe<string>;
  request?: Maybe<string>;
}

export interface Session {
  id: string;
  state?: Maybe<string>;
  subject: string;
  issuer?: Maybe<string>;
  chain?: Maybe<string[]>;
  resource: string;
  protocol?: Maybe<string>;
  database?: Maybe<string>;
  client?: Maybe<string>;
  source?: Maybe<string>;
  opened: string;
  closed?: Maybe<string>;
  expires?: Maybe<string>;
  // Why it ended, in a word.
  end?: Maybe<string>;
  task?: Maybe<string>;
  commands?: Maybe<number>;
  refused?: Maybe<number>;
  rows?: Maybe<number>;
  recording?: Maybe<Recording>;
}

export interface Recording {
  bytes?: Maybe<number>;
  chunks?: Maybe<number>;
  ended?: Maybe<boolean>;
  rows?: Maybe<boolean>;
  retain_until?: Maybe<string>;
  legal_hold?: Maybe<boolean>;
  uploaded?: Maybe<boolean>;
  // Whether control has the key: without it the recording is read elsewhere.
  readable?: Maybe<boolean>;
}

export interface Column {
  name: string;
  type?: Maybe<string | number>;
}

// One event of a recording; `t` is seconds since its start. Other fields are the kind's.
export interface RecordingEvent {
  t: number;
  kind: string;
  command?: Maybe<number>;
  text?: Maybe<string>;
  binds?: Maybe<Bind[]>;
  database?: Maybe<string>;
  classes?: Maybe<string[]>;
  verdict?: Maybe<string>;
  rule?: Maybe<string>;
  message?: Maybe<string>;
  purpose?: Maybe<string>;
  decision?: Maybe<string>;
  waited_ms?: Maybe<number>;
  request?: Maybe<string>;
  by?: Maybe<string>;
  reason?: Maybe<string>;
  event?: Maybe<string>;
  unknown?: Maybe<boolean>;
  detected?: Maybe<number>;
  cut?: Maybe<boolean>;
  columns?: Maybe<(Column | string)[]>;
  rows?: Maybe<Cell[][] | number>;
  bytes?: Maybe<number>;
  duration_ms?: Maybe<number>;
  error?: Maybe<string>;
  masked?: Maybe<number | string>;
  limit?: Maybe<string>;
  data?: Maybe<string>;
}

export interface Replay {
  events: RecordingEvent[];
  // The `after` of the next page.
  next?: Maybe<string>;
  cut_off?: Maybe<boolean>;
}

// A record of the ledger as it is written (docs/ledger.md); the fields depend on the type.
export interface LedgerRecord {
  seq: number;
  time: string;
  type: string;
  [field: string]: unknown;
}

export interface Verification {
  ok: boolean;
  records: number;
  head?: Maybe<string>;
  detail?: Maybe<string>;
}

export interface Resource {
  name: string;
  protocol: string;
  labels?: Maybe<{ key: string; value: string }[]>;
  contact?: Maybe<string>;
  host?: Maybe<string>;
  port?: Maybe<number>;
  database?: Maybe<string>;
  protected_columns?: Maybe<number>;
  // `access_rule`: connecting needs access that this rule lets people give.
  you?: Maybe<{ allowed: boolean; text?: Maybe<string>; access_rule?: Maybe<string> }>;
  connect?: Maybe<{ client: string; line: string }[]>;
}

export interface Rule {
  name: string;
  verdict: string;
  on?: Maybe<string>;
  who?: Maybe<{ subjects?: Maybe<string[]>; groups?: Maybe<string[]>; issuers?: Maybe<string[]> }>;
  resources?: Maybe<string[]>;
  commands?: Maybe<string[]>;
  text: string;
}

export interface Policies {
  hash: string;
  rules: Rule[];
}

export interface Demand {
  classes?: Maybe<string[]>;
  verdict: string;
  rule?: Maybe<string>;
  kind?: Maybe<string>;
  schema?: Maybe<string>;
  name?: Maybe<string>;
}

export interface Explanation {
  verdict: string;
  rule?: Maybe<string>;
  message?: Maybe<string>;
  demands?: Maybe<Demand[]>;
  // Rules that want approvals of it.
  approvals?: Maybe<string[]>;
  limits?: Maybe<string>;
  // false: the resource protects columns, and what that makes of the statement is not known here.
  protection_considered?: Maybe<boolean>;
  text?: Maybe<string>;
}

export interface DryRun {
  commands: number;
  changed: {
    record: number | string;
    time?: Maybe<string>;
    message?: Maybe<string>;
    statement?: Maybe<string>;
    subject?: Maybe<string>;
    resource?: Maybe<string>;
    was: string;
    would: string;
    rule_was?: Maybe<string>;
    rule_would?: Maybe<string>;
  }[];
  counts?: Maybe<Record<string, number>>;
  changed_total?: Maybe<number>;
  // What the ledger does not hold, so that it was not considered.
  unknown?: Maybe<string[]>;
  incomplete?: Maybe<boolean>;
}

export interface Overview {
  nodes: { id: string; kind: 'identity' | 'resource' }[];
  edges: { identity: string; resource: string; commands: number; refused: number; rows: number }[];
  series: { time: string; commands: number; refused: number; approvals: number }[];
  incomplete?: Maybe<boolean>;
}
