-- id: leak-951
-- class: prepare
-- technique: PREPARE is not undone by ROLLBACK
-- expect: MASK
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- mode: each

BEGIN;
PREPARE p AS SELECT id, ssn FROM customers WHERE id < $1 ORDER BY id;
ROLLBACK;
EXECUTE p (9);
