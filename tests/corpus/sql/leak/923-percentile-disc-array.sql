-- id: leak-923
-- class: aggregate
-- technique: all values by their quantiles
-- expect: EITHER
-- targets: customers.email
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT percentile_disc(ARRAY[0, 0.25, 0.5, 0.75, 1]) WITHIN GROUP (ORDER BY email) FROM customers;
