// Who is there? Logged in: the console. Not: the login page, at whatever address was asked for.
import { useCallback, useEffect, useState } from 'preact/hooks';
import { get, onLoggedOut, Problem, setCsrf } from '../api/client';
import type { Me } from '../api/types';
import { parsePath } from '../lib/router';
import { Login, OneTimeLogin, takeReturnPath } from '../pages/login';
import { navigate } from '../lib/router';
import { Failure, Loading } from './basics';
import { Shell } from './shell';

type State = { is: 'asking' } | { is: 'out'; ended: boolean } | { is: 'in'; me: Me } | { is: 'failed'; error: unknown };

export function Root() {
  const [state, setState] = useState<State>({ is: 'asking' });
  const [onTokenPage, setOnTokenPage] = useState(() => parsePath(location.pathname).page === 'token');

  const ask = useCallback(async () => {
    try {
      const me = await get<Me>('/v1/me');
      setCsrf(me.csrf);
      const path = takeReturnPath();
      if (path !== null) navigate(path, true);
      setState({ is: 'in', me });
    } catch (error) {
      setState(error instanceof Problem && error.status === 401 ? { is: 'out', ended: false } : { is: 'failed', error });
    }
  }, []);

  useEffect(() => {
    onLoggedOut(() => setState({ is: 'out', ended: true }));
    if (!onTokenPage) void ask();
  }, [onTokenPage]);

  if (onTokenPage) {
    return (
      <OneTimeLogin
        done={() => {
          navigate('/approvals', true);
          setOnTokenPage(false);
        }}
        giveUp={() => {
          navigate('/approvals', true);
          setOnTokenPage(false);
        }}
      />
    );
  }
  switch (state.is) {
    case 'in':
      return <Shell me={state.me} onLogout={() => setState({ is: 'out', ended: false })} />;
    case 'out':
      return <Login ended={state.ended} />;
    case 'failed':
      return (
        <main class="alone">
          <Failure error={state.error} what="who you are" retry={() => void ask()} />
        </main>
      );
    default:
      return (
        <main class="alone">
          <Loading what="who you are" />
        </main>
      );
  }
}
