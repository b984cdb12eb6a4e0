import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Problem } from '../api/client';
import { now } from '../lib/time';

export interface Loaded<T> {
  data: T | undefined;
  error: unknown;
  loading: boolean;
  reload: () => void;
  set: (data: T) => void;
}

// Reads something when `key` changes, and again on reload(). While it reads again, the old data
// stays; an answer that comes after `key` has changed is dropped.
export function useLoad<T>(key: string, read: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string; data?: T; error?: unknown; loading: boolean }>({ key, loading: true });
  const [round, setRound] = useState(0);
  const reader = useRef(read);
  reader.current = read;

  useEffect(() => {
    const abort = new AbortController();
    setState((old) => (old.key === key ? { ...old, loading: true } : { key, loading: true }));
    reader.current(abort.signal).then(
      (data) => {
        if (!abort.signal.aborted) setState({ key, data, loading: false });
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        // A list that could not be refreshed is still worth showing, with the error beside it.
        setState((old) => ({ ...(old.key === key && !(error instanceof Problem && error.status === 404) ? old : { key }), error, loading: false }));
      },
    );
    return () => abort.abort();
  }, [key, round]);

  const reload = useCallback(() => setRound((n) => n + 1), []);
  const set = useCallback((data: T) => setState({ key, data, loading: false }), [key]);
  const current = state.key === key;
  return {
    data: current ? state.data : undefined,
    error: current ? state.error : undefined,
    loading: current ? state.loading : true,
    reload,
    set,
  };
}

// The time, every `everyMs` while `on`.
export function useNow(everyMs = 1000, on = true): number {
  const [time, setTime] = useState(now);
  useEffect(() => {
    if (!on) return undefined;
    setTime(now());
    const timer = setInterval(() => setTime(now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs, on]);
  return time;
}

export type KeyMap = Record<string, (event: KeyboardEvent) => void>;

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !['button', 'checkbox', 'radio', 'range', 'submit'].includes(target.type);
}

// Single keys for this page; not while someone types, nor while a dialog is open.
export function useKeys(keys: KeyMap): void {
  const current = useRef(keys);
  current.current = keys;
  useLayoutEffect(() => {
    const listener = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (isTyping(event.target) || document.querySelector('dialog[open]') !== null) return;
      const act = current.current[event.key];
      if (act === undefined) return;
      event.preventDefault();
      act(event);
    };
    window.addEventListener('keydown', listener);
    return () => window.removeEventListener('keydown', listener);
  }, []);
}

// j and k move the focus through the rows of a list ([data-row]).
export function moveRow(step: number): void {
  const rows = Array.from(document.querySelectorAll<HTMLElement>('main [data-row]'));
  if (rows.length === 0) return;
  const at = rows.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
  const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

export function focusSearch(): void {
  document.querySelector<HTMLInputElement>('main [data-search]')?.focus();
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === '' ? 'Bulkhead' : `${title} · Bulkhead`;
  }, [title]);
}
