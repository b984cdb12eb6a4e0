"""The same messages, in any order and pipelined, give the same answers through the gateway as
directly; refusals come in their place and leave the true state."""
import random

import pytest

import pgraw
from harness import gateway as gateways
from shared_gateway import shared_gateway

DENY_DROPS = [{"name": "everything", "allow": ["all"]},
              {"name": "never", "commands": ["drop-table"], "deny": "no agent drops tables"}]

PLAIN = ["SELECT 1", "SELECT 'a', 2", "SELECT $1::int", "SELEC", "SELECT 1/0", "BEGIN", "COMMIT", "ROLLBACK",
         "SAVEPOINT a", "ROLLBACK TO a", "RELEASE a", "", ";", "-- nothing", "SELECT generate_series(1, 5)",
         "INSERT INTO t VALUES (1)", "SELECT count(*) FROM t", "COPY t TO STDOUT", "SELECT * FROM nowhere",
         "PREPARE x AS SELECT 'sql'", "PREPARE y AS INSERT INTO t VALUES (2)", "EXECUTE x", "EXECUTE y",
         "EXECUTE nothing", "DEALLOCATE x", "DEALLOCATE y", "DEALLOCATE ALL", "EXPLAIN (COSTS OFF) EXECUTE x",
         "CREATE TEMP TABLE u AS EXECUTE x", "DROP TABLE IF EXISTS u"]
STRINGS = ["SELECT 1; SELECT 2", "SELECT 1; SELEC", "SELECT 1; SELECT 1/0; SELECT 3", "BEGIN; SELECT 1",
           "PREPARE x AS SELECT 3; EXECUTE x; DEALLOCATE x", "DEALLOCATE ALL; EXECUTE x", "COMMIT; SELECT 4",
           "PREPARE y AS SELECT 'y'; SELECT 1/0"]
CURSORS = ["BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 9)", "FETCH 2 FROM c", "CLOSE c", "CLOSE ALL",
           "MOVE 1 FROM c", "DECLARE d CURSOR FOR SELECT 1", "FETCH ALL FROM d", "DISCARD ALL"]
NAMES = ["", "", "x", "y", "z"]


def random_message(rng, statements, portals):
    name, text = rng.choice(NAMES), rng.choice(statements)
    portal = rng.choice(portals)
    # A name that stands for nothing is refused where it is met (docs/protocol-postgres.md), which the
    # server does when it runs the statement: no EXECUTE in what is kept, none in named portals.
    lasting = rng.choice([s for s in statements if "EXECUTE" not in s and
                          s.split(" ")[0] not in ("PREPARE", "DEALLOCATE", "DISCARD")])
    if portals != [""]:
        text = lasting
    return rng.choice([
        lambda: pgraw.parse(name, text if name == "" else lasting),
        lambda: pgraw.parse("", text) + pgraw.bind("", "") + pgraw.execute(""),
        lambda: pgraw.bind(portal, name),
        lambda: pgraw.bind(portal, name, ["7"]),
        lambda: pgraw.execute(portal, rng.choice([0, 0, 2])),
        lambda: pgraw.describe("S", name),
        lambda: pgraw.describe("P", portal or "p"),
        lambda: pgraw.close("S", name),
        lambda: pgraw.close("P", portal),
        lambda: pgraw.query(text),
        lambda: pgraw.query(rng.choice(STRINGS)),
        lambda: pgraw.SYNC,
        lambda: pgraw.FLUSH,
    ])()


def shown(messages):
    """What must be equal: errors by severity, code and text, others byte by byte. Notices and
    changes of settings come at the server's leisure."""
    result = []
    for kind, body in messages:
        if kind == b"E":
            fields = pgraw.error_fields(body)
            # In a failed transaction the server does not even look for a name; the gateway does.
            if fields["C"] == "25P02" or fields["M"].startswith("prepared statement"):
                result.append((kind, "a missing name, or a failed transaction"))
            elif fields["M"].startswith("portal"):  # a failed one is as good as none
                result.append((kind, "no portal that can be run"))
            else:
                result.append((kind, fields["V"], fields["C"], fields["M"]))
        elif kind not in (b"N", b"S"):
            result.append((kind, body))
    return result


def answers(client, script, number):
    """All answers to a script of messages; a marker at the end says that there are no more."""
    marker = f"marker{number}"
    client.send(b"".join(script) + pgraw.SYNC + pgraw.query(f"ROLLBACK; SELECT '{marker}'"))
    messages, seen = [], False
    while True:
        try:
            kind, body = client.read()
        except EOFError:
            return shown(messages) + ["the end of the connection"]
        if kind == b"D" and marker.encode() in body:
            seen = True
        if seen and kind == b"Z":
            return shown(messages)
        messages.append((kind, body))


@pytest.fixture(scope="module")
def resources(authority, test_db):
    return {"test": gateways.resource(test_db, authority, user="app_trust")}


@pytest.fixture(scope="module")
def gateway(authority, resources):
    with shared_gateway(authority, resources) as gateway:
        yield gateway


@pytest.mark.parametrize("portals", [["", "p", "q"], [""]], ids=["portals", "cursors"])
def test_any_pipeline_gives_the_servers_own_answers(gateway, test_db, database, portals):
    statements = PLAIN + (CURSORS if portals == [""] else [])
    token = gateway.token()
    for seed in range(12):
        rng = random.Random(seed)
        direct = pgraw.RawClient(test_db.port, "app_trust", database=database)
        through = pgraw.RawClient(gateway.port, "test", token, database=database)
        setup = [pgraw.query("CREATE TEMP TABLE t (a int)")]
        assert answers(direct, setup, 0) == answers(through, setup, 0)
        for number in range(1, 30):
            script = [random_message(rng, statements, portals) for _ in range(rng.randint(1, 14))]
            expected, got = answers(direct, script, number), answers(through, script, number)
            assert got == expected, f"seed {seed}, script {number}: {script}"
            if "the end of the connection" in expected:  # the server itself gave up
                break
        for client in (direct, through):
            client.send(pgraw.TERMINATE)
            client.close()


def test_a_client_that_sends_anything_ends_at_most_itself(gateway, database):
    token = gateway.token()
    rng = random.Random(7)
    for _ in range(60):
        client = pgraw.RawClient(gateway.port, "test", token, database=database)
        script = b"".join(random_message(rng, PLAIN + CURSORS, ["", "p"]) for _ in range(6))
        wild = bytearray(script)
        for _ in range(rng.randint(1, 4)):
            wild[rng.randrange(len(wild))] = rng.randrange(256)
        try:
            client.send(bytes(wild[:rng.randint(1, len(wild))]))
        except ConnectionError:
            pass
        client.close()
    with gateway.connect(token=token) as connection:
        connection.cursor().execute("SELECT 1")
    connection.close()
    assert "session_died" not in gateway.log_text()


@pytest.fixture(scope="module")
def strict(authority, resources):
    with shared_gateway(authority, resources, {"policies": DENY_DROPS}) as gateway:
        yield gateway


@pytest.fixture
def client(strict, database):
    client = pgraw.RawClient(strict.port, "test", strict.token(), database=database)
    yield client
    client.close()


def test_a_refusal_in_a_transaction_aborts_it(client):
    client.send(pgraw.query("BEGIN") + pgraw.query("CREATE TABLE a (x int)") + pgraw.query("DROP TABLE a") +
                pgraw.query("SELECT 1") + pgraw.query("COMMIT") + pgraw.query("SELECT count(*) FROM a"))
    states, codes, tags = [], [], []
    while len(states) < 6:
        kind, body = client.read()
        if kind == b"Z":
            states.append(body)
        elif kind == b"E":
            codes.append(pgraw.error_fields(body)["C"])
        elif kind == b"C":
            tags.append(body.rstrip(b"\0"))
    assert states == [b"T", b"T", b"E", b"E", b"I", b"I"]
    assert codes == ["42501", "25P02", "42P01"]
    assert tags == [b"BEGIN", b"CREATE TABLE", b"ROLLBACK"]


def test_a_refusal_after_a_savepoint_is_undone_with_it(client):
    got = answers(client, [pgraw.query("BEGIN"), pgraw.query("CREATE TABLE a (x int)"), pgraw.query("SAVEPOINT s"),
                           pgraw.query("DROP TABLE a"), pgraw.query("ROLLBACK TO s"), pgraw.query("COMMIT"),
                           pgraw.query("SELECT * FROM a")], 1)
    assert [body for kind, body, *_ in got if kind == b"Z"] == [b"T", b"T", b"T", b"E", b"T", b"I", b"I",
                                                                  b"I"]
    assert [m for m in got if m[0] == b"E"] == [(b"E", "ERROR", "42501", "no agent drops tables")]


def test_a_refusal_in_a_pipeline_rolls_its_implicit_transaction_back(client, database, test_db):
    test_db.sql("CREATE TABLE kept (x int)", "ALTER TABLE kept OWNER TO app_owner", database=database)
    got = answers(client, [
        pgraw.parse("", "INSERT INTO kept VALUES (1)"), pgraw.bind("", ""), pgraw.execute(""),
        pgraw.parse("", "DROP TABLE kept"), pgraw.bind("", ""), pgraw.execute(""),
        pgraw.parse("", "INSERT INTO kept VALUES (2)"), pgraw.bind("", ""), pgraw.execute(""), pgraw.SYNC,
        pgraw.query("SELECT count(*)::text FROM kept")], 1)
    assert [m[0] for m in got[:5]] == [b"1", b"2", b"C", b"E", b"Z"]
    assert got[3][2:] == ("42501", "no agent drops tables") and got[4] == (b"Z", b"I")
    assert (b"D", b"\0\1\0\0\0\1" + b"0") in got


def test_ten_thousand_pipelined_parses(client, strict):
    script = [pgraw.parse("", f"SELECT {n}") for n in range(5000)]
    script += [pgraw.parse("", "DROP TABLE nothing")]
    script += [pgraw.parse("", f"SELECT {n}") for n in range(5000)]
    client.send(b"".join(script) + pgraw.SYNC)
    got = [kind for kind, _ in client.until_ready()]
    assert got == [b"1"] * 5000 + [b"E", b"Z"]


def test_a_cursor_of_the_protocol_run_by_sql_is_on_the_record(client, strict):
    answers(client, [pgraw.query("BEGIN"), pgraw.parse("", "SELECT 'by fetch'"), pgraw.bind("c", ""), pgraw.SYNC,
                     pgraw.query("FETCH ALL FROM c"), pgraw.query("COMMIT")], 1)
    client.send(pgraw.TERMINATE)
    client.close()
    strict.record(type="command_intent", statement="SELECT 'by fetch'")
