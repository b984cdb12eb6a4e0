-- id: leak-931
-- class: numeric
-- technique: a number less its zeros
-- expect: EITHER
-- targets: employees.salary
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT id, trim_scale(salary) FROM employees ORDER BY id;
