# id: leak-963
# class: protocol
# technique: a statement is closed and made anew in one pipeline
# expect: EITHER
# targets: customers.ssn
# recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
# mutates: no

from pgwire import *
def run(t):
    c = t.conn()
    c.send(m_parse("s", "SELECT id, name FROM departments ORDER BY id") + m_sync())
    c.read_ready()
    c.send(m_close("S", "s") + m_parse("s", "SELECT id, ssn FROM customers ORDER BY id") + m_bind("", "s") + m_execute() + m_sync())
    c.read_ready()
