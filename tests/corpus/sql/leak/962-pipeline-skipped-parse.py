# id: leak-962
# class: protocol
# technique: a Parse that the server skips after an error must not count
# expect: EITHER
# targets: customers.ssn
# recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
# mutates: no

from pgwire import *
def run(t):
    c = t.conn()
    harmless = m_parse("s", "SELECT id, name FROM departments ORDER BY id")
    c.send(m_parse("", "SELECT 1/0") + m_bind("", "") + m_execute() + harmless + m_sync())
    c.read_ready()
    c.send(m_parse("s", "SELECT id, ssn FROM customers ORDER BY id") + m_sync())
    c.read_ready()
    c.send(m_bind("", "s") + m_execute() + m_sync())
    c.read_ready()
