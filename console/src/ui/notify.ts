// Notifications of the browser: one for each request that begins to wait, withdrawn when it ends.
import { get } from '../api/client';
import type { ApprovalRequest } from '../api/types';
import { navigate } from '../lib/router';
import { oneLine } from '../lib/sql';

const KEY = 'bulkhead.notify';
const shown = new Map<string, Notification>();

export type NotifyState = 'on' | 'off' | 'refused' | 'unsupported';

export function notifyState(): NotifyState {
  if (!('Notification' in window)) return 'unsupported';
  if (Notification.permission === 'denied') return 'refused';
  try {
    return Notification.permission === 'granted' && localStorage.getItem(KEY) === 'on' ? 'on' : 'off';
  } catch {
    return 'off';
  }
}

export async function setNotify(on: boolean): Promise<NotifyState> {
  if (on && 'Notification' in window && Notification.permission === 'default') await Notification.requestPermission();
  try {
    localStorage.setItem(KEY, on ? 'on' : 'off');
  } catch {
    // Not kept: asked again next time.
  }
  return notifyState();
}

async function show(id: string): Promise<void> {
  const request = await get<ApprovalRequest>(`/v1/approvals/${encodeURIComponent(id)}`);
  if (request.state !== 'pending' || request.you?.may_decide === false) return;
  const what = request.kind === 'access' ? `access: ${request.reason ?? ''}` : (request.command?.text ?? '');
  const notification = new Notification(`${request.subject} waits on ${request.resource}`, {
    body: oneLine(what, 200),
    tag: `approval-${id}`,
    icon: '/icon.svg',
    requireInteraction: true,
  });
  notification.onclick = () => {
    window.focus();
    navigate(`/approvals/${encodeURIComponent(id)}`);
    notification.close();
  };
  shown.set(id, notification);
}

export function onApprovalEvent(id: string, state: string): void {
  if (state !== 'pending') {
    shown.get(id)?.close();
    shown.delete(id);
  } else if (notifyState() === 'on' && !shown.has(id)) {
    // A notification that could not be made is not worth an error: the list shows the request.
    show(id).catch(() => undefined);
  }
}
