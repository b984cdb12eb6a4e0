-- id: leak-959
-- class: basic
-- technique: three CTEs pass the value on under other names
-- expect: MASK
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

WITH a AS (SELECT id, ssn AS x FROM customers), b (k, name) AS (SELECT * FROM a), c AS (SELECT k AS id, name AS city FROM b) SELECT id, city FROM c WHERE id < 20 ORDER BY id;
