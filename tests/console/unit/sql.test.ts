import assert from 'node:assert/strict';
import { test } from 'node:test';
import { oneLine, tokenizeSql, tokensFor } from '../../../console/src/lib/sql';

const kinds = (text: string): string[] => tokenizeSql(text).filter((token) => token.kind !== 'space').map((token) => `${token.kind}:${token.text}`);

test('statements are cut as PostgreSQL reads them', () => {
  assert.deepEqual(kinds("select \"a\"\"b\", 'it''s', E'q\\'x', $1, 1.5e3 from t -- end"), [
    'keyword:select', 'name:"a""b"', 'operator:,', "string:'it''s'", 'operator:,', "string:E'q\\'x'", 'operator:,', 'parameter:$1', 'operator:,', 'number:1.5e3', 'keyword:from', 'name:t', 'comment:-- end',
  ]);
  assert.deepEqual(kinds('$$a$b$$ $x$ $$ $x$'), ['string:$$a$b$$', 'string:$x$ $$ $x$']);
  assert.deepEqual(kinds('/* a /* b */ c */ 1'), ['comment:/* a /* b */ c */', 'number:1']);
});

test('what does not end goes to the end of the text', () => {
  for (const text of ["'open", '"open', '/* open', '$$open', "E'open\\", '--']) assert.equal(tokenizeSql(text).map((token) => token.text).join(''), text);
});

test('nothing is lost, whatever the text', () => {
  let seed = 7;
  const random = (n: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  const alphabet = ["'", '"', '$', '-', '/', '*', '\\', 'e', 'E', 'x', '1', '.', ' ', '\n', '\u202e', '\u0430', '\ud83d\ude00', '\ud800', ';', '('];
  for (let round = 0; round < 3000; round += 1) {
    let text = '';
    for (let i = random(24); i >= 0; i -= 1) text += alphabet[random(alphabet.length)];
    const tokens = tokenizeSql(text);
    assert.equal(tokens.map((token) => token.text).join(''), text);
    assert.ok(tokens.every((token) => token.text.length > 0));
  }
});

test("the server's tokens are used only if they are of this very text", () => {
  const given = [{ kind: 'keyword', text: 'select' }, { kind: 'space', text: ' ' }, { kind: 'number', text: '1' }];
  assert.equal(tokensFor('select 1', given), given);
  assert.notEqual(tokensFor('select 2', given), given);
});

test('one line is one line, cut with a mark', () => {
  assert.equal(oneLine(' a\n\n  b '), 'a b');
  assert.equal(oneLine('x'.repeat(20), 10), `${'x'.repeat(9)}…`);
});
