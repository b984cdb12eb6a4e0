-- id: leak-955
-- class: path-state
-- technique: search_path in the startup parameter options
-- expect: EITHER
-- targets: archive.customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- startup: options=-c search_path=archive

SELECT id, ssn FROM customers ORDER BY id;
