-- id: leak-949
-- class: cursor
-- technique: a cursor that answers in binary
-- expect: EITHER
-- targets: employees.salary, employees.iban
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- mode: each

BEGIN;
DECLARE b BINARY CURSOR FOR SELECT salary, iban FROM employees ORDER BY id;
FETCH 20 FROM b;
COMMIT;
