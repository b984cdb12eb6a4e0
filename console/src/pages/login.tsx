// Logging in: by the identity provider, or once by a link that carries a token behind its #.
import { useEffect, useRef, useState } from 'preact/hooks';
import { messageOf, post, withQuery } from '../api/client';
import { parsePath, safeReturn } from '../lib/router';
import { Text } from '../ui/basics';
import { useTitle } from '../ui/hooks';
import { Mark } from '../ui/mark';

const KEY = 'bulkhead.return';

function keepReturnPath(): string | null {
  const path = safeReturn(location.pathname + location.search);
  try {
    if (path !== null && parsePath(location.pathname).page !== 'token') sessionStorage.setItem(KEY, path);
  } catch {
    // Then the login ends at the first page.
  }
  return path;
}

// Where this tab wanted to go before it was sent to log in; said once, and only at the start page.
export function takeReturnPath(): string | null {
  try {
    const path = safeReturn(sessionStorage.getItem(KEY));
    sessionStorage.removeItem(KEY);
    return location.pathname === '/' || location.pathname === '/approvals' ? path : null;
  } catch {
    return null;
  }
}

export function Login({ ended }: { ended: boolean }) {
  useTitle('Sign in');
  const next = safeReturn(location.pathname + location.search);
  return (
    <main class="alone">
      <div class="login">
        <Mark />
        <h1>Bulkhead</h1>
        {ended && <p class="warning">Your login has ended. Sign in again; you come back to this page.</p>}
        <p>
          Approvals, sessions and the ledger of this gateway. Who you are, and which groups you are in, is what your identity
          provider says.
        </p>
        <a class="button primary" href={withQuery('/login', { next })} onClick={() => void keepReturnPath()}>
          Sign in
        </a>
        <p class="hint">
          On the gateway's own machine, an administrator can also make a link that logs in once.
        </p>
      </div>
    </main>
  );
}

export function OneTimeLogin({ done, giveUp }: { done: () => void; giveUp: () => void }) {
  useTitle('Sign in');
  const [error, setError] = useState('');
  const begun = useRef(false);
  useEffect(() => {
    if (begun.current) return;
    begun.current = true;
    const token = location.hash.slice(1);
    // Out of the address bar and the history before anything else happens.
    history.replaceState(null, '', '/login/token');
    if (token === '') {
      setError('The link has no token behind its #. It may have been cut when it was copied.');
      return;
    }
    post('/v1/login', { token }).then(done, (problem: unknown) => setError(messageOf(problem)));
  }, []);
  return (
    <main class="alone">
      <div class="login">
        <Mark />
        <h1>Bulkhead</h1>
        {error === '' ? (
          <p role="status">Signing in …</p>
        ) : (
          <>
            <div class="state state-bad" role="alert">
              <p>
                <strong>This link does not log in.</strong> <Text>{error}</Text>
              </p>
            </div>
            <p>Such a link works once and for a short time. Ask for another, or sign in with your identity provider.</p>
            <button type="button" class="primary" onClick={giveUp}>
              Go to the login page
            </button>
          </>
        )}
      </div>
    </main>
  );
}
