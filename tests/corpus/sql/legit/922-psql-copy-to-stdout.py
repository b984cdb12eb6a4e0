# id: legit-922
# class: psql
# technique: psql's own \copy
# expect: ALLOW
# mutates: no

def run(t):
    t.tool(["psql", "-X", "-c", "\\copy (SELECT id, name FROM customers WHERE id < 9 ORDER BY id) TO STDOUT CSV HEADER"])
