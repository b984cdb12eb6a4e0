// Server-sent events that come back: an EventSource that the browser gives up on (any answer but
// 200) is opened anew with a growing pause, and whoever listens is told to read everything again.
import { backoffMs } from '../lib/backoff';

export type LinkState = 'connecting' | 'live' | 'waiting';

export interface LiveOptions {
  url: string;
  events: string[];
  onEvent: (name: string, data: unknown) => void;
  onState?: (state: LinkState) => void;
  // The stream was away: what happened meanwhile was not seen.
  onReturn?: () => void;
}

export function openLive(options: LiveOptions): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let wasOpen = false;
  let closed = false;

  const say = (state: LinkState): void => options.onState?.(state);

  const connect = (): void => {
    say('connecting');
    source = new EventSource(options.url);
    source.onopen = () => {
      failures = 0;
      say('live');
      if (wasOpen) options.onReturn?.();
      wasOpen = true;
    };
    for (const name of options.events) {
      source.addEventListener(name, (event) => {
        let data: unknown;
        try {
          data = JSON.parse((event as MessageEvent<string>).data);
        } catch {
          return;
        }
        options.onEvent(name, data);
      });
    }
    source.onerror = () => {
      source?.close();
      if (closed) return;
      say('waiting');
      timer = setTimeout(connect, backoffMs(failures));
      failures += 1;
    };
  };

  connect();
  return () => {
    closed = true;
    clearTimeout(timer);
    source?.close();
  };
}
