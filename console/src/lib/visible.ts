// What an approver reads was written by whoever asks. This cuts a text into pieces so that every
// character that could make it look like something else is shown as what it is: control and
// bidirectional override characters, invisible ones, letters of another alphabet in the middle of a
// Latin word, and runs of blanks that push the rest out of sight.

export type MarkKind = 'control' | 'bidi' | 'invisible' | 'space' | 'lookalike' | 'broken' | 'run';

export interface Piece {
  text: string;
  mark?: { kind: MarkKind; title: string };
}

const NAMES: Record<number, string> = {
  0x00: 'NUL', 0x07: 'BEL', 0x08: 'BS', 0x09: 'TAB', 0x0a: 'LF', 0x0b: 'VT', 0x0c: 'FF', 0x0d: 'CR', 0x1b: 'ESC',
  0x7f: 'DEL', 0x85: 'NEL', 0xa0: 'NBSP', 0xad: 'SHY', 0x061c: 'ALM', 0x200b: 'ZWSP', 0x200c: 'ZWNJ',
  0x200d: 'ZWJ', 0x200e: 'LRM', 0x200f: 'RLM', 0x2028: 'LSEP', 0x2029: 'PSEP', 0x202a: 'LRE', 0x202b: 'RLE',
  0x202c: 'PDF', 0x202d: 'LRO', 0x202e: 'RLO', 0x2060: 'WJ', 0x2066: 'LRI', 0x2067: 'RLI', 0x2068: 'FSI',
  0x2069: 'PDI', 0xfeff: 'BOM',
};

const CONTROL = /^[\u0000-\u0008\u000b-\u001f\u007f-\u009f]$/;
const BIDI = /^[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]$/;
const SPACE = /^[\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/;
// Format characters, default-ignorables that are letters or marks, variation selectors, tags.
const INVISIBLE = /^(?:\p{Cf}|[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f]|[\u{e0000}-\u{e0fff}])$/u;
const BROKEN = /^(?:\p{Cs}|\p{Co}|\p{Cn}|\ufffd)$/u;
const WORD = /[\p{L}\p{M}\p{N}_]/u;
const ASCII_LETTER = /[A-Za-z]/;
const FOREIGN_LETTER = /[^\P{L}\p{Script=Latin}]/u;
// Latin letters that are not what they seem to be: full-width forms, dotless i, small capitals.
const ODD_LATIN = /[\uff21-\uff3a\uff41-\uff5a\u0131\u017f\u0251\u0261\u026a\u029f\u1d00-\u1d7f]/;

const SPACES_SHOWN = 16;
const NEWLINES_SHOWN = 3;

export function codePoint(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

function markOf(character: string): Piece['mark'] {
  const name = codePoint(character);
  if (CONTROL.test(character)) return { kind: 'control', title: `control character ${name}` };
  if (BIDI.test(character)) return { kind: 'bidi', title: `${name} changes the direction of the text that follows` };
  if (SPACE.test(character)) return { kind: 'space', title: `${name}, a blank that is not a space` };
  if (INVISIBLE.test(character)) return { kind: 'invisible', title: `${name}, which has no shape of its own` };
  if (BROKEN.test(character)) return { kind: 'broken', title: `${name}, not a character that has a meaning` };
  return undefined;
}

function labelOf(character: string): string {
  const point = character.codePointAt(0) ?? 0;
  return NAMES[point] ?? codePoint(character);
}

// Letters that are not Latin inside a word that also has ASCII letters.
function lookalikes(characters: string[]): Set<number> {
  const found = new Set<number>();
  for (let from = 0; from < characters.length; ) {
    if (!WORD.test(characters[from] as string)) {
      from += 1;
      continue;
    }
    let to = from;
    while (to < characters.length && WORD.test(characters[to] as string)) to += 1;
    const word = characters.slice(from, to);
    if (word.some((c) => ASCII_LETTER.test(c))) {
      word.forEach((c, i) => {
        if (FOREIGN_LETTER.test(c) || ODD_LATIN.test(c)) found.add(from + i);
      });
    }
    from = to;
  }
  return found;
}

// The run of `same` that starts at `from`: where it ends.
function runEnd(characters: string[], from: number, same: (c: string) => boolean): number {
  let to = from;
  while (to < characters.length && same(characters[to] as string)) to += 1;
  return to;
}

export function visiblePieces(text: string): Piece[] {
  const characters = Array.from(text);
  const foreign = lookalikes(characters);
  const pieces: Piece[] = [];
  let plain = '';

  const flush = (): void => {
    if (plain !== '') pieces.push({ text: plain });
    plain = '';
  };
  const mark = (label: string, kind: MarkKind, title: string): void => {
    flush();
    pieces.push({ text: label, mark: { kind, title } });
  };

  for (let i = 0; i < characters.length; ) {
    const c = characters[i] as string;
    if (c === ' ' || c === '\t' || c === '\n') {
      const end = runEnd(characters, i, (x) => x === ' ' || x === '\t' || x === '\n');
      const run = characters.slice(i, end).join('');
      const lines = run.split('\n').length - 1;
      const longest = Math.max(...run.split('\n').map((line) => line.replace(/\t/g, '        ').length));
      if (lines > NEWLINES_SHOWN) {
        mark(`${lines} line breaks`, 'run', `${lines} line breaks and ${run.length - lines} blanks in a row, shown as one`);
        plain += '\n';
      } else if (longest > SPACES_SHOWN && (lines === 0 || longest > 4 * SPACES_SHOWN)) {
        mark(`${run.length} blanks`, 'run', `${run.length} blanks in a row, shown as one`);
        plain += lines > 0 ? '\n' : ' ';
      } else {
        plain += run;
      }
      i = end;
      continue;
    }
    if (c === '\r' && characters[i + 1] === '\n') {
      i += 1; // a line break of another system hides nothing
      continue;
    }
    const special = markOf(c);
    if (special !== undefined) mark(labelOf(c), special.kind, special.title);
    else if (foreign.has(i)) mark(c, 'lookalike', `${codePoint(c)}: a letter of another alphabet in this word`);
    else plain += c;
    i += 1;
  }
  flush();
  return pieces;
}

// What a text holds that an honest one rarely does, in words; empty if nothing.
export function suspicions(text: string): string[] {
  const counts = new Map<MarkKind, number>();
  for (const piece of visiblePieces(text)) {
    if (piece.mark !== undefined) counts.set(piece.mark.kind, (counts.get(piece.mark.kind) ?? 0) + 1);
  }
  const words: Record<MarkKind, string> = {
    control: 'control characters',
    bidi: 'characters that change the direction of text',
    invisible: 'invisible characters',
    space: 'blanks that are not spaces',
    lookalike: 'letters of another alphabet within words',
    broken: 'bytes that are not text',
    run: 'long runs of blanks',
  };
  return [...counts].map(([kind, count]) => `${words[kind]} (${count})`);
}
