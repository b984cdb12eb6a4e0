-- id: leak-911
-- class: json
-- technique: through json and back into the table's own row type
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT r.ssn FROM customers c, jsonb_populate_record(NULL::customers, to_jsonb(c)) r WHERE c.id < 9;
