-- id: leak-967
-- class: cte
-- technique: WITH RECURSIVE: a query reads one that comes later and has a table's name
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

WITH RECURSIVE a AS (SELECT id FROM orders), orders AS (SELECT ssn AS id FROM customers) SELECT * FROM a;
WITH RECURSIVE a AS (SELECT id || '' FROM orders), orders AS (SELECT ssn AS id FROM customers) SELECT * FROM a;
