-- id: leak-900
-- class: basic
-- technique: the CYCLE clause collects the values into a path column of its own
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

WITH RECURSIVE t (id, ssn) AS (SELECT id, ssn::text FROM customers WHERE id < 5 UNION ALL SELECT id + 1, ssn FROM t WHERE id < 6) CYCLE ssn SET is_cycle USING path SELECT path FROM t;
