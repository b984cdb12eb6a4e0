-- id: block-917
-- class: rowlimit
-- technique: COPY of a query
-- expect: LIMIT
-- mutates: no

COPY (SELECT id FROM page_views) TO STDOUT
