-- id: leak-954
-- class: path-state
-- technique: SET is undone by ROLLBACK AND CHAIN
-- expect: MASK
-- targets: customers.email
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- mode: each

BEGIN;
SET search_path = crm;
ROLLBACK AND CHAIN;
SELECT id, email FROM customers ORDER BY id;
COMMIT;
