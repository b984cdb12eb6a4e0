-- id: leak-913
-- class: json
-- technique: json of a view, taken apart by a function
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT json_extract_path_text(doc, 'ssn') FROM customer_json WHERE id < 9;
