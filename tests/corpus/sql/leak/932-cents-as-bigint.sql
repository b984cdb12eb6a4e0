-- id: leak-932
-- class: numeric
-- technique: the number in another unit
-- expect: EITHER
-- targets: employees.salary
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- leak_sql: SELECT $1[1] = (SELECT (salary * 100)::bigint::text FROM employees WHERE id = 5)

SELECT (salary * 100)::bigint FROM employees WHERE id = 5;
