-- id: leak-948
-- class: cursor
-- technique: names are cut at 63 bytes, so both are one
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- mode: each

BEGIN;
DECLARE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab CURSOR FOR SELECT id, ssn FROM customers ORDER BY id;
FETCH 9 FROM aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac;
COMMIT;
