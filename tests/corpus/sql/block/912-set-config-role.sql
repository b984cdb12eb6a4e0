-- id: block-912
-- class: settings
-- technique: SET ROLE by function
-- expect: DENY
-- mutates: no

SELECT set_config('role', 'postgres', false)
