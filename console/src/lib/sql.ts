// Cuts SQL into tokens for highlighting only. It decides nothing, and it loses nothing: the tokens'
// texts, one after the other, are the text that was given.
import type { Token } from '../api/types';

export type TokenKind = 'keyword' | 'name' | 'string' | 'number' | 'comment' | 'parameter' | 'operator' | 'space';

const KEYWORDS = new Set(
  `abort add all alter analyze and any array as asc begin between both by call cascade case cast check cluster collate
   column comment commit concurrently constraint copy create cross cube current_date current_timestamp current_user
   cursor database deallocate declare default deferrable delete desc discard distinct do drop else end escape except
   exclude execute exists explain extension false fetch filter first for foreign from full function grant group grouping
   having if ilike in index inner insert intersect interval into is isolation join key language last lateral leading
   left level like limit listen local lock materialized merge move natural not notify null nulls of off offset on only
   or order outer over owner partition policy prepare primary procedure publication reassign recursive references refresh
   reindex release rename replace reset restrict returning returns revoke right role rollback rollup row rows savepoint
   schema security select sequence serializable session set show similar some start table tablesample temp temporary
   then ties to trailing transaction trigger true truncate type union unique unlogged update user using vacuum values
   view when where window with within work`.split(/\s+/),
);

// Sticky patterns, tried in order at each place.
const PATTERNS: [TokenKind, RegExp][] = [
  ['space', /\s+/y],
  ['comment', /--[^\n]*/y],
  ['string', /(?:[eE]|[uU]&|[bBxXnN])?'(?:[^']|'')*(?:'|$)/y],
  ['name', /(?:[uU]&)?"(?:[^"]|"")*(?:"|$)/y],
  ['parameter', /\$\d+/y],
  ['number', /(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y],
  ['name', /[\p{L}_][\p{L}\p{M}\p{N}_$]*/uy],
];

// A string of the form E'…' in which a backslash escapes.
const ESCAPE_STRING = /[eE]'(?:[^'\\]|''|\\[\s\S])*(?:'|$)/y;
const DOLLAR_OPEN = /\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/uy;

function matchAt(pattern: RegExp, text: string, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? null;
}

// Block comments nest in PostgreSQL. Where it does not end, it goes to the end of the text.
function blockComment(text: string, at: number): string {
  let depth = 0;
  let i = at;
  while (i < text.length) {
    if (text.startsWith('/*', i)) {
      depth += 1;
      i += 2;
    } else if (text.startsWith('*/', i)) {
      depth -= 1;
      i += 2;
      if (depth === 0) break;
    } else {
      i += 1;
    }
  }
  return text.slice(at, i);
}

function tokenAt(text: string, at: number): Token {
  if (text.startsWith('/*', at)) return { kind: 'comment', text: blockComment(text, at) };
  const escaped = matchAt(ESCAPE_STRING, text, at);
  if (escaped !== null) return { kind: 'string', text: escaped };
  const open = matchAt(DOLLAR_OPEN, text, at);
  if (open !== null) {
    const end = text.indexOf(open, at + open.length);
    return { kind: 'string', text: end < 0 ? text.slice(at) : text.slice(at, end + open.length) };
  }
  for (const [kind, pattern] of PATTERNS) {
    const found = matchAt(pattern, text, at);
    if (found === null || found === '') continue;
    const keyword = kind === 'name' && !found.includes('"') && KEYWORDS.has(found.toLowerCase());
    return { kind: keyword ? 'keyword' : kind, text: found };
  }
  return { kind: 'operator', text: String.fromCodePoint(text.codePointAt(at) ?? 0xfffd) };
}

export function tokenizeSql(text: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const token = tokenAt(text, at);
    if (token.text === '') token.text = text.charAt(at);
    const last = tokens[tokens.length - 1];
    if (last !== undefined && last.kind === 'operator' && token.kind === 'operator') last.text += token.text;
    else tokens.push(token);
    at += token.text.length;
  }
  return tokens;
}

// The server's tokens if they are of exactly this text, else our own: what is shown is `text`.
export function tokensFor(text: string, given: Token[] | null | undefined): Token[] {
  if (given && given.map((token) => token.text).join('') === text) return given;
  return tokenizeSql(text);
}

// One line that says what a statement is, for lists.
export function oneLine(text: string, max = 160): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= max ? line : `${line.slice(0, max - 1)}…`;
}
