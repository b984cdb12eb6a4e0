# id: leak-964
# class: protocol
# technique: a cursor of SQL is a portal: Execute reads it
# expect: EITHER
# targets: customers.ssn
# recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
# mutates: no

from pgwire import *
def run(t):
    c = t.conn()
    c.query("BEGIN")
    c.query("DECLARE k CURSOR FOR SELECT id, ssn FROM customers ORDER BY id")
    c.send(m_execute("k", 9) + m_sync())
    c.read_ready()
