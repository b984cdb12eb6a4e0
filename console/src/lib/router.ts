// Pages have addresses of their own (history API). Parsing is pure; moving is navigate().

export type Route =
  | { page: 'approvals'; id?: string }
  | { page: 'sessions'; id?: string }
  | { page: 'ledger'; id?: string }
  | { page: 'resources' }
  | { page: 'access' }
  | { page: 'policies' }
  | { page: 'overview' }
  | { page: 'token' }
  | { page: 'missing' };

export function parsePath(path: string): Route {
  const parts = path.split('/').filter((part) => part !== '');
  const [page, id, ...rest] = parts;
  if (rest.length > 0) return { page: 'missing' };
  if (page === undefined || page === 'index.html') return { page: 'approvals' };
  if (page === 'login' && id === 'token') return { page: 'token' };
  if (page === 'approvals' || page === 'sessions' || page === 'ledger') {
    if (id === undefined) return { page };
    let decoded: string;
    try {
      decoded = decodeURIComponent(id);
    } catch {
      return { page: 'missing' };
    }
    return { page, id: decoded };
  }
  if (id === undefined && (page === 'resources' || page === 'access' || page === 'policies' || page === 'overview')) {
    return { page };
  }
  return { page: 'missing' };
}

// A path of this console to return to after a login. Nothing that leaves it, no login page.
export function safeReturn(path: string | null): string | null {
  if (path === null || !/^\/(?![/\\])/.test(path) || path.startsWith('/login') || path.startsWith('/v1')) return null;
  return parsePath(path.split(/[?#]/)[0] ?? '').page === 'missing' ? null : path;
}

const listeners = new Set<() => void>();

export function onNavigate(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener('popstate', listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener('popstate', listener);
  };
}

export function navigate(path: string, replace = false): void {
  if (path === location.pathname + location.search) return;
  if (replace) history.replaceState(null, '', path);
  else history.pushState(null, '', path);
  for (const listener of listeners) listener();
}
