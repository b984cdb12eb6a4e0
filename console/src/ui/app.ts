// What every page may use: who is logged in, the live link, and what arrives on it.
import { createContext } from 'preact';
import { useContext, useEffect, useRef } from 'preact/hooks';
import type { LinkState } from '../api/live';
import type { Me } from '../api/types';

export type LiveListener = (name: string, data: { id?: string; state?: string }) => void;

export class LiveBus {
  private readonly listeners = new Set<LiveListener>();

  listen(listener: LiveListener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  tell(name: string, data: { id?: string; state?: string }): void {
    for (const listener of this.listeners) listener(name, data);
  }
}

export interface App {
  me: Me;
  link: LinkState;
  bus: LiveBus;
  pending: number | undefined;
}

export const AppContext = createContext<App | null>(null);

export function useApp(): App {
  const app = useContext(AppContext);
  if (app === null) throw new Error('used outside the application');
  return app;
}

export function hasRole(me: Me, role: string): boolean {
  return me.roles.includes(role) || me.roles.includes('admin') || (role === 'viewer' && me.roles.includes('auditor'));
}

// Calls `listener` for live events; name "return": the link was away, read again.
export function useLive(listener: LiveListener): void {
  const { bus } = useApp();
  const current = useRef(listener);
  current.current = listener;
  useEffect(() => bus.listen((name, data) => current.current(name, data)), [bus]);
}
