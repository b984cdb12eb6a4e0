# id: leak-965
# class: protocol
# technique: a portal is a cursor of SQL: FETCH reads it
# expect: EITHER
# targets: customers.ssn
# recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
# mutates: no

from pgwire import *
def run(t):
    c = t.conn()
    c.query("BEGIN")
    c.send(m_parse("", "SELECT id, ssn FROM customers ORDER BY id") + m_bind("k", "") + m_sync())
    c.read_ready()
    c.query("FETCH 9 FROM k")
