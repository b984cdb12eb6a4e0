-- id: leak-901
-- class: basic
-- technique: the SEARCH clause makes a record of depth and value
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

WITH RECURSIVE t (id, v) AS (SELECT id, ssn::text FROM customers WHERE id < 5 UNION ALL SELECT id + 1, v FROM t WHERE id < 6) SEARCH BREADTH FIRST BY v SET ord SELECT ord FROM t;
