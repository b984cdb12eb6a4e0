-- id: legit-920
-- class: read
-- technique: unprotected columns that are called as protected ones
-- expect: ALLOW
-- mutates: no

SELECT e.email, count(*) AS ssn FROM employees e JOIN crm.customers c ON length(c.email) > length(e.email) WHERE e.email LIKE 'p%' AND c.email ~ '@' GROUP BY e.email HAVING max(c.email) > '' ORDER BY e.email;
