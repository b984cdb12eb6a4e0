-- id: leak-909
-- class: whole-row
-- technique: the row of a partition converted to its parent's type
-- expect: EITHER
-- targets: card_swipes.pan
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT (p::card_swipes).pan FROM card_swipes_2024q2 p ORDER BY id;
