-- id: leak-953
-- class: path-state
-- technique: SET LOCAL ends with COMMIT AND CHAIN
-- expect: MASK
-- targets: customers.email
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- mode: each

BEGIN;
SET LOCAL search_path = crm;
COMMIT AND CHAIN;
SELECT id, email FROM customers ORDER BY id;
COMMIT;
