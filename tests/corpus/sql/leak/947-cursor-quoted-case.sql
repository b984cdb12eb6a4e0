-- id: leak-947
-- class: cursor
-- technique: two cursors whose names differ in case only
-- expect: MASK
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- mode: each

BEGIN;
DECLARE "C" CURSOR FOR SELECT id, ssn AS name FROM customers ORDER BY id;
DECLARE c CURSOR FOR SELECT id, name FROM customers ORDER BY id;
FETCH 9 FROM "C";
COMMIT;
