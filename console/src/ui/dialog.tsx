import type { ComponentChildren } from 'preact';
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { messageOf } from '../api/client';
import { Text } from './basics';

// The browser's own modal dialog: it keeps the focus, and Esc closes it.
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Before the next key arrives: what is typed at once belongs into the dialog.
  useLayoutEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    if (element && !element.open) element.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onClose={onClose}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
      }}
    >
      <div class="dialog-body">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

interface ActProps {
  title: string;
  children?: ComponentChildren;
  button: string;
  tone?: 'primary' | 'danger';
  reasonLabel: string;
  reasonHint?: string;
  required: boolean;
  act: (reason: string) => Promise<void>;
  onClose: () => void;
}

// Asks for a reason and does something; what the gateway says against it is shown in place.
export function ActDialog({ title, children, button, tone = 'primary', reasonLabel, reasonHint, required, act, onClose }: ActProps) {
  const [reason, setReason] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const id = useId();
  const field = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => field.current?.focus(), []);

  const submit = async (event?: Event): Promise<void> => {
    event?.preventDefault();
    if (busy) return;
    if (required && reason.trim() === '') {
      setError('A reason is required here.');
      field.current?.focus();
      return;
    }
    setBusy(true);
    setError('');
    try {
      await act(reason.trim());
      onClose();
    } catch (problem) {
      setError(messageOf(problem));
      setBusy(false);
    }
  };

  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)} noValidate>
        {children}
        <label for={id}>
          {reasonLabel}
          {required ? '' : ' (optional)'}
        </label>
        <textarea
          id={id}
          ref={field}
          rows={3}
          maxLength={1000}
          required={required}
          aria-describedby={`${id}-hint`}
          value={reason}
          onInput={(event) => setReason(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void submit(event);
          }}
        />
        <p class="hint" id={`${id}-hint`}>
          {reasonHint ? `${reasonHint} ` : ''}Ctrl+Enter sends.
        </p>
        {error !== '' && (
          <p class="state state-bad" role="alert">
            <Text>{error}</Text>
          </p>
        )}
        <div class="buttons">
          <button type="submit" class={tone} disabled={busy}>
            {busy ? 'Sending …' : button}
          </button>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
        </div>
      </form>
    </Dialog>
  );
}
