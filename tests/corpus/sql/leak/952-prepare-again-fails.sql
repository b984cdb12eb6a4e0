-- id: leak-952
-- class: prepare
-- technique: the second PREPARE of a name fails, the first stays
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- mode: each

PREPARE p AS SELECT id, ssn AS name FROM customers WHERE id < 9 ORDER BY id;
PREPARE p AS SELECT id, name FROM customers WHERE id < 9 ORDER BY id;
EXECUTE p;
