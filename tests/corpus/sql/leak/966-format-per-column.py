# id: leak-966
# class: extended
# technique: each column in a format of its own
# expect: EITHER
# targets: employees.iban, employees.salary
# recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
# mutates: no

from pgwire import *
def run(t):
    c = t.conn()
    c.fmts_override = [0, 1, 0]
    c.send(m_parse("", "SELECT id, salary, iban FROM employees ORDER BY id") + m_bind("", "", rfmts=[0, 1, 0]) + m_describe("P") + m_execute() + m_sync())
    c.read_ready()
