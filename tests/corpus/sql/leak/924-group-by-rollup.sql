-- id: leak-924
-- class: aggregate
-- technique: rolled up by the value
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT ssn, count(*) FROM customers WHERE id < 9 GROUP BY ROLLUP (ssn);
