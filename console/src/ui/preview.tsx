// On which rows: what the planner expects, what a dry run did, or what depends on the object.
import type { Cell, Preview as PreviewData } from '../api/types';
import { plural } from '../lib/numbers';
import { diffSamples } from '../lib/sample';
import { Scroll, Text } from './basics';
import { objectName } from './statement';

export function CellText({ value }: { value: Cell | undefined }) {
  if (value === null || value === undefined) return <span class="null">NULL</span>;
  return <Text>{String(value)}</Text>;
}

function Samples({ preview }: { preview: PreviewData }) {
  const diff = diffSamples(preview.before, preview.after);
  if (diff.rows.length === 0) return null;
  const words = { changed: 'changed', same: 'same', removed: 'removed', added: 'added' };
  return (
    <Scroll label="sample of rows before and after">
      <table class="sample">
        <caption>
          {plural(diff.rows.length, 'row')} of them, before and after
        </caption>
        <thead>
          <tr>
            <th scope="col" />
            {diff.columns.map((name) => (
              <th scope="col" key={name}>
                <Text>{name}</Text>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {diff.rows.map((row, index) => (
            <tr key={index} class={`diff-${row.kind}`}>
              <th scope="row">{words[row.kind]}</th>
              {row.cells.map((cell, c) => (
                <td key={c}>
                  {!cell.changed && <CellText value={cell.before} />}
                  {cell.changed && row.kind !== 'added' && (
                    <del>
                      <CellText value={cell.before} />
                    </del>
                  )}
                  {cell.changed && row.kind === 'changed' && ' '}
                  {cell.changed && row.kind !== 'removed' && (
                    <ins>
                      <CellText value={cell.after} />
                    </ins>
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Dependents({ preview }: { preview: PreviewData }) {
  const objects = preview.objects ?? [];
  if (objects.length === 0) return null;
  return (
    <ul class="objects mono">
      {objects.map((object, index) => (
        <li key={index}>
          {typeof object === 'string' ? <Text>{object}</Text> : <Text>{object.text ?? `${object.kind ?? ''} ${objectName(object)}`.trim()}</Text>}
        </li>
      ))}
    </ul>
  );
}

export function previewHeadline(preview: PreviewData): string {
  const rows = preview.rows;
  const known = rows !== null && rows !== undefined;
  if (preview.kind === 'dry_run') return known ? `Exactly ${plural(rows, 'row')}, by a dry run that was rolled back.` : 'A dry run was made and rolled back.';
  if (preview.kind === 'estimate') return known ? `About ${plural(rows, 'row')}, as the planner estimates.` : 'The planner gave no number of rows.';
  if (preview.kind === 'dependents') {
    const n = preview.objects?.length ?? 0;
    return n === 0 ? 'Nothing else depends on it.' : `${plural(n, 'object depends', 'objects depend')} on it.`;
  }
  return 'No preview: the rule asks for none, or the command has none.';
}

export function Preview({ preview }: { preview: PreviewData | null | undefined }) {
  if (!preview) return <p class="hint">No preview was made.</p>;
  return (
    <div class="preview">
      {preview.error ? (
        <p class="warning">
          <strong>The preview failed.</strong> <Text>{preview.error}</Text>
        </p>
      ) : (
        <p class="headline">{previewHeadline(preview)}</p>
      )}
      {preview.text && (
        <pre tabIndex={0} role="region" aria-label="plan">
          <code>
            <Text>{preview.text}</Text>
          </code>
        </pre>
      )}
      <Dependents preview={preview} />
      <Samples preview={preview} />
    </div>
  );
}
