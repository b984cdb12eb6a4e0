// Small parts that every page is made of.
import type { ComponentChildren, ComponentProps } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { messageOf, Problem } from '../api/client';
import { navigate } from '../lib/router';
import { ago, clock, isSameDay, localTime, now, utcTime } from '../lib/time';
import { visiblePieces } from '../lib/visible';
import { useNow } from './hooks';

export function Link({ to, replace, children, ...rest }: { to: string; replace?: boolean; children: ComponentChildren } & Omit<ComponentProps<'a'>, 'href' | 'onClick' | 'role'>) {
  const follow = (event: MouseEvent): void => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to, replace);
  };
  return (
    <a {...rest} href={to} onClick={follow}>
      {children}
    </a>
  );
}

// Text that others wrote: nothing in it can hide or pretend.
export function Text({ children }: { children: string | null | undefined }) {
  return (
    <>
      {visiblePieces(children ?? '').map((piece) =>
        piece.mark === undefined ? (
          piece.text
        ) : (
          <span class={`mark mark-${piece.mark.kind}`} title={piece.mark.title}>
            {piece.text}
          </span>
        ),
      )}
    </>
  );
}

export function Time({ at, form = 'full' }: { at: string | null | undefined; form?: 'full' | 'clock' | 'ago' | 'short' }) {
  const ticking = useNow(15_000, form === 'ago');
  if (!at) return <>–</>;
  let text: string;
  if (form === 'ago') text = ago(at, ticking);
  else if (form === 'clock') text = localTime(at, false);
  else if (form === 'short') text = localTime(at, !isSameDay(Date.parse(at), now()));
  else text = localTime(at);
  return (
    <time dateTime={at} title={form === 'ago' ? `${localTime(at)} here, ${utcTime(at)}` : utcTime(at)}>
      {text}
    </time>
  );
}

// The time left, ticking. It turns urgent in the last minute.
export function Countdown({ until }: { until: string }) {
  const left = (Date.parse(until) - useNow(1000)) / 1000;
  return (
    <time class={`countdown${left <= 0 ? ' is-over' : left < 60 ? ' is-urgent' : ''}`} dateTime={until} title={utcTime(until)}>
      {left <= 0 ? 'time is up' : clock(left)}
    </time>
  );
}

// The same as a line that runs dry.
export function Drain({ from, until }: { from: string; until: string }) {
  const at = useNow(1000);
  const whole = Math.max(1, Date.parse(until) - Date.parse(from));
  const left = Math.min(1, Math.max(0, (Date.parse(until) - at) / whole));
  return (
    <svg class={`drain${left * whole < 60_000 ? ' is-urgent' : ''}`} viewBox="0 0 1000 4" preserveAspectRatio="none" aria-hidden="true">
      <rect class="drain-rest" width="1000" height="4" />
      <rect class="drain-left" width={Math.round(left * 1000)} height="4" />
    </svg>
  );
}

const VERDICT_WORDS: Record<string, string> = {
  allow: 'allowed', deny: 'refused', modify: 'allowed, changed', step_up: 'held', 'step-up': 'held', defer: 'asked for a purpose',
  pending: 'waiting', approve: 'approved', override: 'overridden', record: 'recorded',
};
// What a rule does, rather than what became of a command.
const RULE_WORDS: Record<string, string> = { allow: 'allows', deny: 'refuses', modify: 'changes', step_up: 'holds', 'step-up': 'holds', defer: 'asks for a purpose' };
const VERDICT_TONE: Record<string, string> = {
  allow: 'ok', approved: 'ok', approve: 'ok', active: 'ok', live: 'ok', modify: 'ok',
  deny: 'bad', denied: 'bad', revoked: 'bad', killed: 'bad', crashed: 'bad',
  step_up: 'warn', 'step-up': 'warn', pending: 'warn', defer: 'warn', override: 'warn', overridden: 'warn',
};

// A word with a shape: colour is never the only sign.
export function Verdict({ value, rule = false }: { value: string | null | undefined; rule?: boolean }) {
  if (!value) return <>–</>;
  const tone = VERDICT_TONE[value] ?? 'plain';
  return (
    <span class={`verdict tone-${tone}`}>
      <svg viewBox="0 0 10 10" aria-hidden="true">
        {tone === 'ok' && <circle cx="5" cy="5" r="4" />}
        {tone === 'bad' && <rect x="1" y="1" width="8" height="8" />}
        {tone === 'warn' && <path d="M5 0.5 9.5 9h-9z" />}
        {tone === 'plain' && <path d="M1 5h8" class="stroke" />}
      </svg>
      {(rule ? RULE_WORDS[value] : VERDICT_WORDS[value]) ?? value.replace(/_/g, ' ')}
    </span>
  );
}

export function Loading({ what }: { what: string }) {
  // Said only when it takes long enough to be noticed.
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), 250);
    return () => clearTimeout(timer);
  }, []);
  return <p class="state" role="status">{shown ? `Reading ${what} …` : ' '}</p>;
}

export function Failure({ error, what, retry }: { error: unknown; what: string; retry?: () => void }) {
  const status = error instanceof Problem ? error.status : undefined;
  return (
    <div class="state state-bad" role="alert">
      <p>
        <strong>
          {status === 403 ? `You may not see ${what}.` : status === 404 ? `There is no such thing here: ${what}.` : `Could not read ${what}.`}
        </strong>{' '}
        <Text>{messageOf(error)}</Text>
      </p>
      {retry && status !== 403 && status !== 404 && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="state">{children}</div>;
}

// A line to copy. Where the clipboard is refused, the text is selected instead.
export function Copy({ text, label }: { text: string; label: string }) {
  const [done, setDone] = useState(false);
  const code = useRef<HTMLElement>(null);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setDone(true);
      setTimeout(() => setDone(false), 2000);
    } catch {
      const range = document.createRange();
      if (code.current) range.selectNodeContents(code.current);
      getSelection()?.removeAllRanges();
      getSelection()?.addRange(range);
    }
  };
  return (
    <div class="copy">
      <code ref={code} tabIndex={0} role="group" aria-label={label}>
        <Text>{text}</Text>
      </code>
      <button type="button" onClick={() => void copy()} aria-label={`Copy: ${label}`}>
        {done ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}

export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts facts-two">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  if (children === null || children === undefined || children === false || children === '') return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Section({ title, aside, children, id }: { title: string; aside?: ComponentChildren; children: ComponentChildren; id?: string }) {
  return (
    <section class="section" aria-label={title} {...(id === undefined ? {} : { id })}>
      <header>
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

// A table that scrolls by itself where it does not fit, and can be reached by keyboard then.
export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      {children}
    </div>
  );
}

// Root human first, executor last: compartments of one hull.
export function Chain({ chain, subject }: { chain: string[] | null | undefined; subject: string }) {
  const people = chain && chain.length > 0 ? chain : [subject];
  const role = (index: number): string => {
    if (people.length === 1) return 'asks for itself';
    if (index === 0) return 'on behalf of';
    return index === people.length - 1 ? 'executor' : 'planner';
  };
  return (
    <ol class="chain" aria-label="who asks">
      {people.map((person, index) => (
        <li key={index} class={index === people.length - 1 ? 'is-executor' : ''}>
          <span class="chain-role">{role(index)}</span>
          <span class="chain-name">
            <Text>{person}</Text>
          </span>
        </li>
      ))}
    </ol>
  );
}
