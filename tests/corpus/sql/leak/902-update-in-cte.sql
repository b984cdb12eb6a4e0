-- id: leak-902
-- class: dml
-- technique: the rows of an UPDATE in a CTE that changes nothing
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: yes

WITH u AS (UPDATE customers SET points = points WHERE id = 7 RETURNING *) SELECT u.ssn FROM u;
