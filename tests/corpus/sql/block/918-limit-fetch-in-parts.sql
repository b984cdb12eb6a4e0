-- id: block-918
-- class: rowlimit
-- technique: a cursor read in parts below the limit
-- expect: LIMIT
-- mutates: no
-- mode: each
-- limit_scope: total

BEGIN;
DECLARE c CURSOR FOR SELECT id FROM page_views;
FETCH 400 FROM c;
FETCH 400 FROM c;
FETCH 400 FROM c;
COMMIT;
