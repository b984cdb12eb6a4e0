-- id: leak-904
-- class: basic
-- technique: the columns of a join, renamed as a whole
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT j.a3, j.a4 FROM (customers c CROSS JOIN (SELECT 1) one) AS j (a1, a2, a3, a4) WHERE a1 < 9 ORDER BY a1;
