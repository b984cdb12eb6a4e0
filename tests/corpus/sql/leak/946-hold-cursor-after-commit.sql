-- id: leak-946
-- class: cursor
-- technique: the cursor outlives its transaction
-- expect: MASK
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- mode: each

BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT id, ssn FROM customers ORDER BY id;
COMMIT;
FETCH 20 FROM h;
CLOSE h;
