// What the API answers (docs: /v1/openapi.json). Fields marked `?` may be absent or null.

export type Maybe<T> = T | null | undefined;

export interface Me {
  subject: string;
  issuer: string;
  name?: Maybe<string>;
  email?: Maybe<string>;
  groups: string[];
  roles: string[];
  csrf: string;
  expires: string;
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
  hash?: Maybe<string>;
}

export type Cell = string | number | boolean | null;

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
  wait_seconds?: Maybe<number>;
  rule?: Maybe<string>;
  rule_text?: Maybe<string>;
  message?: Maybe<string>;
  purpose?: Maybe<string>;
  reason?: Maybe<string>;
  seconds?: Maybe<number>;
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
  waiters?: Maybe<number>;
  reason_required?: Maybe<boolean>;
}

export interface Access {
  id: string;
  subject: string;
  issuer?: Maybe<string>;
  resource: string;
  rule?: Maybe<string>;
  state: string;
  created: string;
  expires: string;
  revoked?: Maybe<string>;
  reason?: Maybe<string>;
  request?: Maybe<string>;
  you?: Maybe<{ may_revoke?: Maybe<boolean> }>;
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
  reason?: Maybe<string>;
  purpose?: Maybe<string>;
  commands?: Maybe<number>;
  denied?: Maybe<number>;
  rows?: Maybe<number>;
  recording?: Maybe<Recording | boolean>;
}

export interface Recording {
  bytes?: Maybe<number>;
  chunks?: Maybe<number>;
  ended?: Maybe<string>;
  rows?: Maybe<boolean | number>;
  retain_until?: Maybe<string>;
  legal_hold?: Maybe<boolean>;
  uploaded?: Maybe<string | boolean>;
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
  request?: Maybe<string>;
  by?: Maybe<string>;
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
  next?: Maybe<number>;
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
  labels?: Maybe<Record<string, string>>;
  contact?: Maybe<string>;
  address_hint?: Maybe<string>;
  databases?: Maybe<string[]>;
  you?: Maybe<{ allowed: boolean; text?: Maybe<string> }>;
  connect?: Maybe<{ client: string; line: string }[]>;
}

export interface Rule {
  name: string;
  verdict: string;
  on?: Maybe<string>;
  who?: Maybe<string>;
  resources?: Maybe<string>;
  commands?: Maybe<string | string[]>;
  text: string;
}

export interface Policies {
  hash: string;
  rules: Rule[];
}

export interface Demand {
  effect: string;
  verdict: string;
  rule?: Maybe<string>;
  kind?: Maybe<string>;
  schema?: Maybe<string>;
  name?: Maybe<string>;
  object?: Maybe<string>;
  classes?: Maybe<string[]>;
}

export interface Explanation {
  verdict: string;
  rule?: Maybe<string>;
  message?: Maybe<string>;
  demands?: Maybe<Demand[]>;
  masked?: Maybe<string | string[]>;
  limits?: Maybe<string | Record<string, unknown>>;
  text?: Maybe<string>;
}

export interface DryRun {
  commands: number;
  changed: {
    record: number | string | LedgerRecord;
    statement?: Maybe<string>;
    subject?: Maybe<string>;
    resource?: Maybe<string>;
    was: string;
    would: string;
    rule_was?: Maybe<string>;
    rule_would?: Maybe<string>;
  }[];
  counts?: Maybe<Record<string, number>>;
}

export interface Overview {
  nodes: { id: string; kind: 'identity' | 'resource' }[];
  edges: { identity: string; resource: string; commands: number; refused: number; rows: number }[];
  series: { time: string; commands: number; refused: number; approvals: number }[];
}
