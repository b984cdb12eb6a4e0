-- id: block-919
-- class: rowlimit
-- technique: rows from a function in FROM
-- expect: LIMIT
-- mutates: no

SELECT u FROM orders, unnest(ARRAY[1, 2, 3, 4, 5]) u
