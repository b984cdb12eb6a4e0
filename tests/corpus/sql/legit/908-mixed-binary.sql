-- id: legit-908
-- class: mixed
-- technique: protected and other columns in binary
-- expect: ALLOW
-- mutates: no

-- @ext fmt=binary
SELECT id, salary, hired_on, bonus_pct, name FROM employees ORDER BY id
