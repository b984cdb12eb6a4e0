// The one way to the API: JSON both ways, the CSRF header on what changes something, and errors as
// RFC 9457 problems whose words are fit to be shown.
import { noteServerDate } from '../lib/time';

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
  }
}

let csrf = '';
let loggedOut: () => void = () => undefined;

export function setCsrf(value: string): void {
  csrf = value;
}

// What to do when the server no longer knows this browser.
export function onLoggedOut(act: () => void): void {
  loggedOut = act;
}

export type Query = Record<string, string | number | boolean | null | undefined>;

export function withQuery(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === '' ? path : `${path}?${text}`;
}

async function problemOf(response: Response): Promise<Problem> {
  let title = '';
  let detail = '';
  if ((response.headers.get('content-type') ?? '').includes('json')) {
    const body: unknown = await response.json().catch(() => null);
    if (typeof body === 'object' && body !== null) {
      const fields = body as Record<string, unknown>;
      title = typeof fields['title'] === 'string' ? fields['title'] : '';
      detail = typeof fields['detail'] === 'string' ? fields['detail'] : '';
    }
  }
  return new Problem(response.status, title || `the gateway answered ${response.status}`, detail);
}

async function send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json, application/problem+json, */*;q=0.1' };
  if (method !== 'GET') headers['X-CSRF-Token'] = csrf;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: 'same-origin',
      cache: 'no-store',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, 'no answer', 'The gateway does not answer. The network may be down, or its control process restarting.');
  }
  noteServerDate(response.headers.get('date'));
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (response.status === 401 && path !== '/v1/login' && path !== '/v1/me') loggedOut();
  throw problem;
}

export async function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  return (await (await send('GET', withQuery(path, query), undefined, signal)).json()) as T;
}

export async function post<T>(path: string, body: unknown = {}, query?: Query): Promise<T> {
  const response = await send('POST', withQuery(path, query), body);
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

// Posts, and hands the answer to the browser as a file to keep.
export async function postForFile(path: string, body: unknown, fallbackName: string): Promise<void> {
  const response = await send('POST', path, body);
  const named = /filename="?([^";]+)"?/.exec(response.headers.get('content-disposition') ?? '');
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement('a');
  link.href = url;
  link.download = named?.[1] ?? fallbackName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export function messageOf(error: unknown): string {
  if (error instanceof Problem) return error.detail || error.title;
  return error instanceof Error ? error.message : String(error);
}
