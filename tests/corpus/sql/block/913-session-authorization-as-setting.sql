-- id: block-913
-- class: settings
-- technique: SET SESSION AUTHORIZATION written as a setting
-- expect: DENY
-- mutates: no

SET session_authorization = 'postgres'
