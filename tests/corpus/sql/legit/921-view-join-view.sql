-- id: legit-921
-- class: read
-- technique: views over tables with protected columns, none of them taken
-- expect: ALLOW
-- mutates: no

SELECT s.id, s.customer, p.department FROM order_summary s JOIN orders o USING (id) JOIN payroll p ON p.id = o.employee_id JOIN customer_contact c ON c.id = o.customer_id WHERE c.city = 'Lyon' ORDER BY s.id;
