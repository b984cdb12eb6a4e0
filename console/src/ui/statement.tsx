// A statement as approvers read it: highlighted, with everything that could deceive made visible.
import { useState } from 'preact/hooks';
import type { Bind, Command, Fact, Token } from '../api/types';
import { tokensFor } from '../lib/sql';
import { suspicions } from '../lib/visible';
import { Text } from './basics';

const KINDS: Record<string, string> = {
  keyword: 'keyword', string: 'string', literal: 'string', number: 'number', comment: 'comment', parameter: 'parameter', param: 'parameter',
};

export function Sql({ text, tokens }: { text: string; tokens?: Token[] | null | undefined }) {
  return (
    <>
      {tokensFor(text, tokens).map((token, index) => {
        const kind = KINDS[token.kind.toLowerCase()];
        return kind === undefined ? (
          <Text key={index}>{token.text}</Text>
        ) : (
          <span key={index} class={`sql-${kind}`}>
            <Text>{token.text}</Text>
          </span>
        );
      })}
    </>
  );
}

const LINES_SHOWN = 80;
const CHARACTERS_SHOWN = 8000;

// How a statement is shown: formatted, or exactly as it was sent.
export function useStatementForm(command: Command | null | undefined): { formatted: string | null; asSent: boolean; set: (asSent: boolean) => void } {
  const formatted = command?.formatted && command.formatted !== command.text ? command.formatted : null;
  // Where the exact text is suspicious, it is what is shown first.
  const odd = command ? suspicions(command.text).length > 0 : false;
  const [chosen, set] = useState<boolean | null>(null);
  return { formatted, asSent: formatted === null || (chosen ?? odd), set };
}

export function StatementSwitch({ form }: { form: ReturnType<typeof useStatementForm> }) {
  if (form.formatted === null) return null;
  return (
    <div class="switch" role="group" aria-label="how the statement is shown">
      <button type="button" aria-pressed={!form.asSent} onClick={() => form.set(false)}>
        Formatted
      </button>
      <button type="button" aria-pressed={form.asSent} onClick={() => form.set(true)}>
        Exactly as sent
      </button>
    </div>
  );
}

export function Statement({ command, form }: { command: Command; form?: ReturnType<typeof useStatementForm> }) {
  const odd = suspicions(command.text);
  const formatted = form?.formatted ?? null;
  const asSent = form?.asSent ?? true;
  const [whole, setWhole] = useState(false);
  const text = asSent || formatted === null ? command.text : formatted;
  const lines = text.split('\n');
  const long = lines.length > LINES_SHOWN || text.length > CHARACTERS_SHOWN;
  const shown = long && !whole ? lines.slice(0, LINES_SHOWN).join('\n').slice(0, CHARACTERS_SHOWN) : text;

  return (
    <div class="statement">
      {odd.length > 0 && (
        <p class="warning">
          <strong>Read with care.</strong> The text holds {odd.join(', ')}. They are shown as marks.
        </p>
      )}
      <pre tabIndex={0} role="region" aria-label={asSent ? 'statement, exactly as sent' : 'statement, formatted'}>
        <code>
          <Sql text={shown} tokens={command.tokens} />
        </code>
      </pre>
      {long && (
        <p class={whole ? 'hint' : 'warning'}>
          {whole
            ? `All of it: ${lines.length} lines, ${text.length} characters. `
            : `This is the beginning of ${lines.length} lines and ${text.length} characters. `}
          <button type="button" class="link" onClick={() => setWhole(!whole)}>
            {whole ? 'Show the beginning only' : 'Show all of it'}
          </button>
        </p>
      )}
      {command.binds && command.binds.length > 0 && <Binds binds={command.binds} />}
    </div>
  );
}

function bindText(bind: Bind | null): { text: string; note: string } {
  if (bind === null) return { text: '', note: 'not known: beyond what the gateway keeps' };
  if (bind.null) return { text: 'NULL', note: '' };
  const cut = bind.full_length ? `cut; ${bind.full_length} bytes in all` : '';
  if (bind.text !== undefined && bind.text !== null) return { text: bind.text, note: cut };
  return { text: bind.base64 ?? '', note: ['binary, as base64', cut].filter((part) => part !== '').join('; ') };
}

export function Binds({ binds }: { binds: (Bind | null)[] }) {
  return (
    <table class="binds">
      <caption>Values of the parameters</caption>
      <tbody>
        {binds.map((bind, index) => {
          const { text, note } = bindText(bind);
          return (
            <tr key={index}>
              <th scope="row">${index + 1}</th>
              <td class={bind?.null ? 'null' : ''}>
                <Text>{text}</Text>
                {note !== '' && <span class="hint"> {note}</span>}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

export function objectName(fact: { schema?: string | null | undefined; name?: string | null | undefined }): string {
  if (!fact.name) return fact.schema ?? '';
  return fact.schema ? `${fact.schema}.${fact.name}` : fact.name;
}

// What the statement does, one effect on one object a line.
export function Effects({ facts }: { facts: Fact[] }) {
  return (
    <ul class="effects" aria-label="what the statement does">
      {facts.map((fact, index) => (
        <li key={index}>
          <span class="effect">{fact.effect}</span>{' '}
          <span class="mono">
            {fact.kind && fact.kind !== 'relation' ? `${fact.kind} ` : ''}
            <Text>{objectName(fact) || 'nothing in particular'}</Text>
          </span>
          {fact.classes && fact.classes.length > 0 && <span class="hint"> {fact.classes.join(', ')}</span>}
        </li>
      ))}
    </ul>
  );
}
