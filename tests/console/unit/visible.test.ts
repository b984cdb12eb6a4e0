import assert from 'node:assert/strict';
import { test } from 'node:test';
import { suspicions, visiblePieces } from '../../../console/src/lib/visible';

const shown = (text: string): string => visiblePieces(text).map((piece) => (piece.mark ? `[${piece.mark.kind}:${piece.text}]` : piece.text)).join('');

test('ordinary SQL passes unchanged, in any language', () => {
  const texts = ["SELECT 'Grüße', 'Привет', '日本語' FROM t -- naïve", 'a\n\tb\r\n  c', 'x = 1', "'Ωμέγα' || 'école'", ''];
  for (const text of texts) assert.equal(shown(text), text.replace(/\r\n/g, '\n'));
});

test('every character that turns the direction of text is a mark', () => {
  for (const point of [0x061c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069]) {
    const [before, mark, after] = visiblePieces(`a${String.fromCodePoint(point)}b`);
    assert.equal(before?.text, 'a');
    assert.equal(mark?.mark?.kind, 'bidi');
    assert.equal(after?.text, 'b');
  }
});

test('no control character, invisible character or odd blank is left in what is drawn', () => {
  const hostile = [...Array(0x20).keys(), ...Array.from({ length: 0x21 }, (_, i) => 0x7f + i), 0xad, 0x34f, 0x1680, 0x180e, 0x2000, 0x200b, 0x200d, 0x2028, 0x2029, 0x202e, 0x202f, 0x2060, 0x2064, 0x2069, 0x3000, 0x3164, 0xfe0f, 0xfeff, 0xfff9, 0xe0041, 0xe0100, 0xe000];
  for (const point of hostile) {
    if (point === 0x09 || point === 0x0a) continue;
    const character = String.fromCodePoint(point);
    const drawn = visiblePieces(`a${character}b`).map((piece) => piece.text).join('');
    assert.ok(!drawn.includes(character), `U+${point.toString(16)} is drawn as it is`);
    assert.ok(drawn.length > 2, `U+${point.toString(16)} vanishes`);
  }
});

test('letters of another alphabet are marked within a Latin word only', () => {
  assert.equal(shown('\u0430udit_log'), '[lookalike:\u0430]udit_log');
  assert.equal(shown('public.\u0430udit'), 'public.[lookalike:\u0430]udit');
  assert.equal(shown('\u043f\u0440\u0438\u0432\u0435\u0442 world'), '\u043f\u0440\u0438\u0432\u0435\u0442 world');
  assert.equal(shown('us\uff45rs'), 'us[lookalike:\uff45]rs');
});

test('runs of blanks and of line breaks cannot push text out of sight', () => {
  assert.equal(shown(`a${' '.repeat(500)}; drop`), 'a[run:500 blanks] ; drop');
  assert.equal(shown(`a${'\n'.repeat(200)}b`), 'a[run:200 line breaks]\nb');
  assert.equal(shown('a\n    b\n\n        c'), 'a\n    b\n\n        c');
  assert.equal(shown(`a${' \n'.repeat(90)}b`), 'a[run:90 line breaks]\nb');
});

test('a lone surrogate and U+FFFD are marks', () => {
  assert.equal(visiblePieces('\ud800')[0]?.mark?.kind, 'broken');
  assert.equal(visiblePieces('\ufffd')[0]?.mark?.kind, 'broken');
});

test('suspicions say what there is and how often', () => {
  assert.deepEqual(suspicions('select 1'), []);
  assert.deepEqual(suspicions('a\u202eb\u202cc\u0007'), ['characters that change the direction of text (2)', 'control characters (1)']);
});
