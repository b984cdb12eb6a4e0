// A server with the API's shapes and none of its machinery, for developing the console and testing
// what it does with answers that a real gateway gives rarely: errors, races, hostile text.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { readFileSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import type { AddressInfo } from 'node:net';
import { makeWorld, type World } from './data';
import type { ApprovalRequest, LedgerRecord, RecordingEvent } from '../../../console/src/api/types';

// As src/control/console_assets.h has it.
export const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
  "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
  "require-trusted-types-for 'script'; trusted-types 'none'";

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.webmanifest': 'application/manifest+json',
};

interface Ask {
  method: string;
  path: string;
  query: URLSearchParams;
  body: Record<string, unknown>;
}

class Refusal extends Error {
  constructor(readonly status: number, readonly title: string, readonly detail: string) {
    super(detail);
  }
}

export class MockGateway {
  world: World = makeWorld();
  loggedIn = true;
  // Requests seen, as "METHOD /path {body}", for tests.
  seen: string[] = [];
  // Answers the next requests whose path begins with the key by this status instead.
  failing = new Map<string, { status: number; detail: string }>();
  private readonly streams = new Set<ServerResponse>();
  private readonly watchers = new Map<string, Set<ServerResponse>>();
  private readonly http: Server;

  constructor(private readonly assets: string) {
    this.http = createServer((request, response) => {
      this.handle(request, response).catch((error: unknown) => {
        if (error instanceof Refusal) problem(response, error.status, error.title, error.detail);
        else problem(response, 500, 'Internal', String(error));
      });
    });
  }

  async listen(port = 0): Promise<string> {
    await new Promise<void>((done) => this.http.listen(port, '127.0.0.1', done));
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.dropStreams();
    this.http.closeAllConnections();
    await new Promise<void>((done) => this.http.close(() => done()));
  }

  // Ends every event stream, as a control process does that dies.
  dropStreams(): void {
    for (const stream of [...this.streams, ...[...this.watchers.values()].flatMap((set) => [...set])]) stream.destroy();
    this.streams.clear();
    this.watchers.clear();
  }

  announce(event: 'approval' | 'session', id: string, state: string): void {
    for (const stream of this.streams) stream.write(`event: ${event}\ndata: ${JSON.stringify({ id, state })}\n\n`);
  }

  tellWatchers(session: string, event: RecordingEvent): void {
    for (const stream of this.watchers.get(session) ?? []) stream.write(`event: event\ndata: ${JSON.stringify(event)}\n\n`);
  }

  get watching(): number {
    return [...this.watchers.values()].reduce((sum, set) => sum + set.size, 0);
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://mock');
    if (!url.pathname.startsWith('/v1/') && url.pathname !== '/login') return this.file(url.pathname, response);
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const ask: Ask = { method: request.method ?? 'GET', path: url.pathname, query: url.searchParams, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
    this.seen.push(`${ask.method} ${url.pathname}${url.search}${text === '' ? '' : ` ${text}`}`);
    for (const [prefix, failure] of this.failing) {
      if (url.pathname.startsWith(prefix)) return problem(response, failure.status, 'Refused', failure.detail);
    }
    if (url.pathname === '/login') {
      this.loggedIn = true;
      response.writeHead(302, { Location: '/' }).end();
      return;
    }
    if (url.pathname === '/v1/login') {
      if (ask.body['token'] !== 'good-token') throw new Refusal(401, 'Unauthorized', 'The token has been used already.');
      this.loggedIn = true;
      return json(response, {});
    }
    if (!this.loggedIn) throw new Refusal(401, 'Unauthorized', 'log in first');
    if (ask.method !== 'GET' && request.headers['x-csrf-token'] !== this.world.me.csrf) throw new Refusal(403, 'Forbidden', 'the X-CSRF-Token header is missing or wrong');
    return this.api(ask, response);
  }

  private file(path: string, response: ServerResponse): void {
    const wanted = normalize(path);
    let bytes: Buffer;
    let type = TYPES['.html'] as string;
    try {
      if (extname(wanted) === '') throw new Error('a page of the console');
      bytes = readFileSync(join(this.assets, wanted));
      type = TYPES[extname(wanted)] ?? 'application/octet-stream';
    } catch {
      bytes = readFileSync(join(this.assets, 'index.html'));
    }
    response.writeHead(200, { 'Content-Type': type, 'Content-Security-Policy': CONTENT_SECURITY_POLICY, 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'same-origin' });
    response.end(bytes);
  }

  private stream(response: ServerResponse, set: Set<ServerResponse>): void {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write(': hello\n\n');
    set.add(response);
    response.on('close', () => set.delete(response));
  }

  private api(ask: Ask, response: ServerResponse): void {
    const [, , room, id, act] = ask.path.split('/');
    const { world } = this;
    switch (`${ask.method} ${room}`) {
      case 'GET me':
        return json(response, world.me);
      case 'POST logout':
        this.loggedIn = false;
        response.writeHead(204).end();
        return;
      case 'GET events':
        return this.stream(response, this.streams);
      case 'GET approvals':
        return json(response, id === undefined ? this.listApprovals(ask) : this.approval(id));
      case 'POST approvals':
        return json(response, this.decide(id ?? '', act ?? '', String(ask.body['reason'] ?? '')));
      case 'GET sessions':
        return this.getSession(ask, id, act, response);
      case 'POST sessions':
        return this.actOnSession(ask, id ?? '', act ?? '', response);
      case 'GET ledger':
        return this.getLedger(ask, id, response);
      case 'POST ledger':
        return json(response, { ok: true, records: world.ledger.length, head: world.ledger.at(-1)?.hash, detail: '' });
      case 'GET resources':
        return json(response, { items: world.resources });
      case 'GET policies':
        return json(response, world.policies);
      case 'POST policies':
        return json(response, id === 'explain' ? this.explain(ask) : this.dryRun(ask));
      case 'GET overview':
        return json(response, world.overview);
      case 'GET access':
        return json(response, { items: world.access });
      case 'POST access':
        return json(response, id === undefined ? this.askAccess(ask) : this.revoke(id));
      default:
        throw new Refusal(404, 'Not found', `nothing is at ${ask.path}`);
    }
  }

  private listApprovals(ask: Ask): unknown {
    const state = ask.query.get('state') ?? 'pending';
    const items = this.world.approvals.filter((request) => state === 'all' || (request.state === 'pending') === (state === 'pending'));
    return { items, next: null };
  }

  private approval(id: string): ApprovalRequest {
    const found = this.world.approvals.find((request) => request.id === id);
    if (found === undefined) throw new Refusal(404, 'Not found', `there is no request ${id}`);
    return found;
  }

  decide(id: string, act: string, reason: string): ApprovalRequest {
    const request = this.approval(id);
    const { me } = this.world;
    if (request.state !== 'pending') throw new Refusal(409, 'Already decided', `This request is ${request.state} already.`);
    if (request.you?.may_decide !== true) throw new Refusal(403, 'Forbidden', request.you?.why_not ?? 'You are not an approver.');
    if (act === 'override' && reason === '') throw new Refusal(400, 'Invalid', 'an override needs a reason');
    request.decisions = [...(request.decisions ?? []), { subject: me.subject, name: me.name ?? '', verdict: act, reason, channel: 'console', at: new Date().toISOString() }];
    const approvals = request.decisions.filter((decision) => decision.verdict === 'approve').length;
    if (act === 'deny') request.state = 'denied';
    else if (act === 'override') request.state = 'overridden';
    else if (approvals >= request.approvals_needed) request.state = 'approved';
    if (request.state !== 'pending') request.decided = new Date().toISOString();
    request.you = { may_decide: false, why_not: 'You have answered.', may_override: false };
    this.announce('approval', id, request.state);
    return request;
  }

  private getSession(ask: Ask, id: string | undefined, act: string | undefined, response: ServerResponse): void {
    if (id === undefined) {
      const state = ask.query.get('state') ?? 'all';
      const q = (ask.query.get('q') ?? '').toLowerCase();
      const items = this.world.sessions.filter((session) => (state === 'all' || (state === 'live') === !session.closed) && JSON.stringify(session).toLowerCase().includes(q));
      return json(response, { items, next: null });
    }
    const session = this.world.sessions.find((candidate) => candidate.id === id);
    if (session === undefined) throw new Refusal(404, 'Not found', `there is no session ${id}`);
    if (act !== 'live') return json(response, session);
    const set = this.watchers.get(id) ?? new Set();
    this.watchers.set(id, set);
    this.stream(response, set);
    for (const event of this.world.recordings[id]?.slice(0, 1) ?? []) this.tellWatchers(id, event);
  }

  private actOnSession(ask: Ask, id: string, act: string, response: ServerResponse): void {
    const session = this.world.sessions.find((candidate) => candidate.id === id);
    if (session === undefined) throw new Refusal(404, 'Not found', `there is no session ${id}`);
    if (String(ask.body['reason'] ?? '') === '') throw new Refusal(400, 'Invalid', 'a reason is needed');
    const film = this.world.recordings[id] ?? [];
    if (act === 'replay') {
      const from = Number(ask.query.get('from') ?? 0);
      const page = film.filter((event) => event.t >= from).slice(0, 8);
      const rest = film.filter((event) => event.t > (page.at(-1)?.t ?? 0));
      return json(response, { events: page, next: rest[0]?.t ?? null });
    }
    if (act === 'export') {
      response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Disposition': `attachment; filename="${id}.${String(ask.body['format'])}"` });
      response.end(JSON.stringify(film));
      return;
    }
    if (act === 'kill') {
      session.closed = new Date().toISOString();
      session.reason = 'killed';
      this.tellWatchers(id, { t: 200, kind: 'closed', text: 'killed by an administrator' });
      this.announce('session', id, 'closed');
    } else if (act === 'legal-hold' && typeof session.recording === 'object' && session.recording !== null) {
      session.recording.legal_hold = ask.body['on'] === true;
    }
    return json(response, session);
  }

  private getLedger(ask: Ask, id: string | undefined, response: ServerResponse): void {
    if (id !== undefined && id !== 'export') {
      const record = this.world.ledger.find((candidate) => String(candidate.seq) === id);
      if (record === undefined) throw new Refusal(404, 'Not found', `there is no record ${id}`);
      return json(response, record);
    }
    const matches = (record: LedgerRecord): boolean => {
      for (const [key, value] of ask.query) {
        if (['limit', 'before', 'from', 'to'].includes(key)) continue;
        const text = key === 'text' || key === 'table' ? JSON.stringify(record) : String(record[key] ?? '');
        const pattern = value.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*');
        const whole = key === 'text' || key === 'table' ? new RegExp(key === 'table' ? (value.split('.').at(-1) ?? '') : pattern, 'i') : new RegExp(`^${pattern}$`);
        if (!whole.test(text)) return false;
      }
      return true;
    };
    const before = Number(ask.query.get('before') ?? Infinity);
    const limit = Number(ask.query.get('limit') ?? 100);
    const found = this.world.ledger.filter((record) => record.seq < before && matches(record)).reverse();
    if (id === 'export') {
      response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Content-Disposition': 'attachment; filename="ledger.ndjson"' });
      response.end(found.reverse().map((record) => JSON.stringify(record)).join('\n'));
      return;
    }
    const items = found.slice(0, limit);
    return json(response, { items, next: found.length > limit ? String(items.at(-1)?.seq) : null });
  }

  private explain(ask: Ask): unknown {
    const sql = String(ask.body['sql']);
    if (sql.trim() === '') throw new Refusal(400, 'Invalid', 'sql: a statement is needed');
    const ddl = /^\s*(alter|create|drop)/i.test(sql);
    return {
      verdict: ddl ? 'step_up' : 'allow', rule: ddl ? 'schema changes need a human' : 'support reads orders',
      message: ddl ? 'waits for one of group dba' : 'a rule allows everything that the command does',
      demands: [{ effect: ddl ? 'ddl' : 'read', verdict: ddl ? 'step_up' : 'allow', rule: null, kind: 'relation', schema: 'public', name: 'orders' }],
      masked: [], limits: { rows_per_command: 10000 }, text: null,
    };
  }

  private dryRun(ask: Ask): unknown {
    if (!String(ask.body['policies']).includes('name:')) throw new Refusal(400, 'Invalid', 'policies:1:1: a list of rules is needed');
    return {
      commands: 26_639,
      changed: [{ record: 4, was: 'allow', would: 'deny', rule_was: 'support reads orders', rule_would: 'no catalogs', subject: 'executor-7', statement: this.world.ledger[3]?.['statement'] }],
      changed_total: 312, counts: { 'allow to deny': 300, 'allow to step_up': 12 }, unknown: [], incomplete: false,
    };
  }

  private askAccess(ask: Ask): ApprovalRequest {
    const { me } = this.world;
    const request: ApprovalRequest = {
      id: 'n7b3v5c2x4z6q2w4', kind: 'access', state: 'pending', created: new Date().toISOString(), expires: new Date(Date.now() + 3_600_000).toISOString(), rule: 'production on request',
      chain: [me.subject], subject: me.subject, issuer: me.issuer, resource: String(ask.body['resource']), reason: String(ask.body['reason']), seconds: Number(ask.body['seconds']),
      approvals_needed: 1, approvers: { groups: ['on-call'], subjects: [] }, decisions: [], you: { may_decide: false, why_not: 'You asked for it yourself.' },
    };
    this.world.approvals.push(request);
    this.announce('approval', request.id, 'pending');
    return request;
  }

  private revoke(id: string): unknown {
    const grant = this.world.access.find((candidate) => candidate.id === id);
    if (grant === undefined) throw new Refusal(404, 'Not found', 'there is no such grant');
    grant.state = 'revoked';
    grant.revoked = new Date().toISOString();
    return grant;
  }
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  response.end(JSON.stringify(body));
}

function problem(response: ServerResponse, status: number, title: string, detail: string): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { 'Content-Type': 'application/problem+json' });
  response.end(JSON.stringify({ type: 'about:blank', title, status, detail }));
}
