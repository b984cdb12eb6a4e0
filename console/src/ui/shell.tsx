// The frame around every page: navigation, the live link, who is logged in, keys for everywhere.
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get, post, setCsrf } from '../api/client';
import { type LinkState, openLive } from '../api/live';
import type { ApprovalRequest, Me, Page } from '../api/types';
import { navigate, onNavigate, parsePath, type Route } from '../lib/router';
import { Access } from '../pages/access';
import { Approvals } from '../pages/approvals';
import { Ledger } from '../pages/ledger';
import { Overview } from '../pages/overview';
import { Policies } from '../pages/policies';
import { Resources } from '../pages/resources';
import { Sessions } from '../pages/sessions';
import { AppContext, LiveBus } from './app';
import { Link, Text } from './basics';
import { Dialog } from './dialog';
import { focusSearch, moveRow, useKeys } from './hooks';
import { Mark } from './mark';
import { notifyState, onApprovalEvent, setNotify } from './notify';
import { chooseTheme, savedTheme, type Theme } from './theme';

const PAGES: { page: Route['page']; path: string; name: string; key: string }[] = [
  { page: 'approvals', path: '/approvals', name: 'Approvals', key: 'a' },
  { page: 'sessions', path: '/sessions', name: 'Sessions', key: 's' },
  { page: 'ledger', path: '/ledger', name: 'Ledger', key: 'l' },
  { page: 'overview', path: '/overview', name: 'Overview', key: 'o' },
  { page: 'policies', path: '/policies', name: 'Policies', key: 'p' },
  { page: 'resources', path: '/resources', name: 'Resources', key: 'r' },
  { page: 'access', path: '/access', name: 'Access', key: 'c' },
];

const LINK_WORDS: Record<LinkState, string> = {
  live: 'live',
  connecting: 'connecting …',
  waiting: 'no link to the gateway; trying again',
};

function useRoute(): { route: Route; search: string } {
  const read = () => ({ route: parsePath(location.pathname), search: location.search });
  const [route, setRoute] = useState(read);
  useEffect(() => onNavigate(() => setRoute(read())), []);
  return route;
}

function CurrentPage({ route, search }: { route: Route; search: string }) {
  switch (route.page) {
    case 'approvals':
      return <Approvals id={route.id} search={search} />;
    case 'sessions':
      return <Sessions id={route.id} search={search} />;
    case 'ledger':
      return <Ledger id={route.id} search={search} />;
    case 'resources':
      return <Resources />;
    case 'access':
      return <Access />;
    case 'policies':
      return <Policies />;
    case 'overview':
      return <Overview search={search} />;
    default:
      return (
        <div class="page">
          <h1>There is no such page</h1>
          <p class="state">
            Nothing is at <code><Text>{location.pathname}</Text></code>. <Link to="/approvals">Go to the approvals</Link>.
          </p>
        </div>
      );
  }
}

// g, then a letter, goes to a page.
function useGoKeys(): (key: string) => boolean {
  const armed = useRef(0);
  return useCallback((key: string) => {
    if (key === 'g') {
      armed.current = Date.now();
      return true;
    }
    if (Date.now() - armed.current > 1500) return false;
    armed.current = 0;
    const page = PAGES.find((candidate) => candidate.key === key);
    if (page !== undefined) navigate(page.path);
    return page !== undefined;
  }, []);
}

export function Shell({ me: first, onLogout }: { me: Me; onLogout: () => void }) {
  const [me, setMe] = useState(first);
  const { route, search } = useRoute();
  const [link, setLink] = useState<LinkState>('connecting');
  const [pending, setPending] = useState<number | undefined>();
  const [help, setHelp] = useState(false);
  const bus = useMemo(() => new LiveBus(), []);

  const countPending = useCallback(() => {
    get<Page<ApprovalRequest>>('/v1/approvals', { state: 'pending', limit: 100 }).then(
      (page) => setPending(page.items.length),
      () => undefined,
    );
  }, []);

  useEffect(() => {
    countPending();
    return openLive({
      url: '/v1/events',
      events: ['approval', 'session'],
      onState: (state) => {
        setLink(state);
        // The link may be down because the login is over: then this says so.
        if (state === 'waiting') void get<Me>('/v1/me').then((fresh) => (setCsrf(fresh.csrf), setMe(fresh)), () => undefined);
      },
      onReturn: () => {
        countPending();
        bus.tell('return', {});
      },
      onEvent: (name, data) => {
        const event = typeof data === 'object' && data !== null ? (data as { id?: string; state?: string }) : {};
        if (name === 'approval') {
          countPending();
          if (event.id !== undefined && event.state !== undefined) onApprovalEvent(event.id, event.state);
        }
        bus.tell(name, event);
      },
    });
  }, []);

  // Each page takes the focus when it opens, so that screen readers and keys start there.
  const main = useRef<HTMLElement>(null);
  const firstPage = useRef(true);
  useEffect(() => {
    if (firstPage.current) firstPage.current = false;
    else main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [route.page]);

  const go = useGoKeys();
  useEffect(() => {
    const listener = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]') !== null) return;
      const target = event.target;
      if (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) {
        if (event.key === 'Escape') target.blur();
        return;
      }
      if (go(event.key)) {
        event.preventDefault();
        event.stopImmediatePropagation();
      }
    };
    window.addEventListener('keydown', listener, true);
    return () => window.removeEventListener('keydown', listener, true);
  }, []);
  useKeys({
    '?': () => setHelp(true),
    '/': focusSearch,
    j: () => moveRow(1),
    k: () => moveRow(-1),
  });

  const logout = async (): Promise<void> => {
    await post('/v1/logout').catch(() => undefined);
    onLogout();
  };

  return (
    <AppContext.Provider value={{ me, link, bus, pending }}>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to the page
      </a>
      <div class="frame">
        <header class="rail">
          <Link to="/approvals" class="brand" aria-label="Bulkhead, to the approvals">
            <Mark />
            <span>Bulkhead</span>
          </Link>
          <nav aria-label="Pages">
            <ul>
              {PAGES.map((page) => (
                <li key={page.page}>
                  <Link to={page.path} {...(route.page === page.page ? { 'aria-current': 'page' as const } : {})}>
                    {page.name}
                    {page.page === 'approvals' && pending !== undefined && pending > 0 && (
                      <span class="badge" aria-label={`${pending} waiting`}>
                        {pending}
                      </span>
                    )}
                  </Link>
                </li>
              ))}
            </ul>
          </nav>
          <div class="rail-foot">
            <p class={`link-state link-${link}`} role="status">
              <svg viewBox="0 0 8 8" aria-hidden="true">
                <circle cx="4" cy="4" r="3.2" />
              </svg>
              {LINK_WORDS[link]}
            </p>
            <Me me={me} onHelp={() => setHelp(true)} onLogout={() => void logout()} />
          </div>
        </header>
        <main id="main" tabIndex={-1} ref={main}>
          <CurrentPage route={route} search={search} />
        </main>
      </div>
      {help && <Help onClose={() => setHelp(false)} />}
    </AppContext.Provider>
  );
}

function Me({ me, onHelp, onLogout }: { me: Me; onHelp: () => void; onLogout: () => void }) {
  const [theme, setTheme] = useState<Theme>(savedTheme);
  const [notify, setNotifyState] = useState(notifyState);
  const details = useRef<HTMLDetailsElement>(null);
  const pick = (value: Theme): void => {
    chooseTheme(value);
    setTheme(value);
  };
  useEffect(() => {
    const close = (event: Event): void => {
      const outside = event.target instanceof Node && !details.current?.contains(event.target);
      if (details.current?.open && (event instanceof KeyboardEvent ? event.key === 'Escape' : outside)) details.current.open = false;
    };
    document.addEventListener('click', close);
    document.addEventListener('keydown', close);
    return () => {
      document.removeEventListener('click', close);
      document.removeEventListener('keydown', close);
    };
  }, []);
  return (
    <details class="me" ref={details}>
      <summary>
        <Text>{me.name || me.subject}</Text>
      </summary>
      <div class="me-panel">
        <dl class="facts">
          <div>
            <dt>Subject</dt>
            <dd class="mono"><Text>{me.subject}</Text></dd>
          </div>
          <div>
            <dt>Issuer</dt>
            <dd class="mono"><Text>{me.issuer}</Text></dd>
          </div>
          <div>
            <dt>Groups</dt>
            <dd>{me.groups.length > 0 ? <Text>{me.groups.join(', ')}</Text> : 'none'}</dd>
          </div>
          <div>
            <dt>Roles</dt>
            <dd>{me.roles.length > 0 ? me.roles.join(', ') : 'none'}</dd>
          </div>
        </dl>
        <div class="switch" role="group" aria-label="colours">
          {(['system', 'light', 'dark'] as const).map((value) => (
            <button type="button" key={value} aria-pressed={theme === value} onClick={() => pick(value)}>
              {value === 'system' ? 'As the system' : value === 'light' ? 'Light' : 'Dark'}
            </button>
          ))}
        </div>
        {notify === 'refused' ? (
          <p class="hint">This browser refuses notifications from here; its settings can change that.</p>
        ) : notify === 'unsupported' ? null : (
          <button
            type="button"
            aria-pressed={notify === 'on'}
            onClick={() => void setNotify(notify !== 'on').then(setNotifyState)}
          >
            {notify === 'on' ? 'Notify me no more' : 'Notify me of new approvals'}
          </button>
        )}
        <button type="button" onClick={onHelp}>
          Keys
        </button>
        <button type="button" onClick={onLogout}>
          Log out
        </button>
      </div>
    </details>
  );
}

function Help({ onClose }: { onClose: () => void }) {
  const rows: [string[], string][] = [
    [['j', 'k'], 'next and previous entry of a list'],
    [['Enter'], 'open the entry'],
    [['a'], 'approve the request that is open (asks first)'],
    [['d'], 'deny it (asks first)'],
    [['o'], 'override: break the glass (asks for a reason)'],
    [['/'], 'search on this page'],
    [['Esc'], 'close a dialog, leave a field, back to the list'],
    [['Space'], 'replay: play and pause'],
    [['←', '→'], 'replay: five seconds back and on'],
    [['n', 'p'], 'replay: next and previous find, or statement'],
    [['g', 'a'], 'go to Approvals; g and s Sessions, l Ledger, o Overview, p Policies, r Resources, c Access'],
    [['?'], 'this help'],
  ];
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {rows.map(([keys, text]) => (
          <div key={text}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      <div class="buttons">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
