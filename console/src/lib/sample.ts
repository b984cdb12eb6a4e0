// Rows before and after a command, put side by side.
import type { Cell, Sample } from '../api/types';

export interface DiffRow {
  kind: 'changed' | 'same' | 'removed' | 'added';
  cells: { before?: Cell; after?: Cell; changed: boolean }[];
}

export interface SampleDiff {
  columns: string[];
  rows: DiffRow[];
}

export function columnNames(sample: Sample): string[] {
  return sample.columns.map((column) => (typeof column === 'string' ? column : column.name));
}

const same = (a: Cell | undefined, b: Cell | undefined): boolean => (a ?? null) === (b ?? null);

// Rows are paired in their order where both sides have the same columns and as many rows (an
// UPDATE); otherwise what is only on one side was removed or added.
export function diffSamples(before: Sample | null | undefined, after: Sample | null | undefined): SampleDiff {
  const old = before && before.columns.length > 0 ? before : null;
  const fresh = after && after.columns.length > 0 ? after : null;
  const columns = columnNames(old ?? fresh ?? { columns: [], rows: [] });
  const oldRows = old?.rows ?? [];
  const newRows = fresh?.rows ?? [];
  const paired = old !== null && fresh !== null && oldRows.length === newRows.length && columnNames(old).join('\0') === columnNames(fresh).join('\0');
  if (paired) {
    return {
      columns,
      rows: oldRows.map((row, index) => {
        const other = newRows[index] ?? [];
        const cells = columns.map((_, c) => ({ before: row[c] ?? null, after: other[c] ?? null, changed: !same(row[c], other[c]) }));
        return { kind: cells.some((cell) => cell.changed) ? ('changed' as const) : ('same' as const), cells };
      }),
    };
  }
  return {
    columns,
    rows: [
      ...oldRows.map((row) => ({ kind: 'removed' as const, cells: columns.map((_, c) => ({ before: row[c] ?? null, changed: true })) })),
      ...newRows.map((row) => ({ kind: 'added' as const, cells: columns.map((_, c) => ({ after: row[c] ?? null, changed: true })) })),
    ],
  };
}
