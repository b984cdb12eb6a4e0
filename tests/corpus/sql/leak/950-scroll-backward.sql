-- id: leak-950
-- class: cursor
-- technique: fetched backwards
-- expect: MASK
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- mode: each

BEGIN;
DECLARE s SCROLL CURSOR FOR SELECT id, ssn FROM customers ORDER BY id;
MOVE 30 IN s;
FETCH BACKWARD 9 FROM s;
COMMIT;
