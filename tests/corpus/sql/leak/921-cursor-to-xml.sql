-- id: leak-921
-- class: dynamic
-- technique: a cursor is read by a function
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- mode: each

BEGIN;
DECLARE k CURSOR FOR SELECT ssn FROM customers ORDER BY id;
SELECT cursor_to_xml('k', 20, false, true, '');
ROLLBACK;
