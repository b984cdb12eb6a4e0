"""The record of what PostgreSQL clients do: nothing reaches a target without it."""
import base64
import os
import re
import subprocess
import time

import psycopg2
import pytest

import pgraw
from harness import gateway as gateways
from harness import machine
from shared_gateway import shared_gateway


@pytest.fixture(scope="module")
def gateway(authority, test_db):
    with shared_gateway(authority, {"test": gateways.resource(test_db, authority)}, {"policies": [
            {"name": "all", "allow": ["all"]}, {"name": "no", "tables": ["forbidden"], "deny": "no"}]}) as gateway:
        gateway.shared_token = gateway.token()
        yield gateway


def extended(sql, values=(), portal=""):
    return pgraw.parse("", sql) + pgraw.bind(portal, "", list(values)) + pgraw.execute(portal) + pgraw.SYNC


SCRIPT = [
    pgraw.query("CREATE TEMPORARY TABLE l (x int, t text)"),
    pgraw.query("BEGIN; INSERT INTO l VALUES (1, 'a'), (2, 'b'); COMMIT"),
    extended("INSERT INTO l SELECT g, $1 FROM generate_series(1, 40) g", ["it's"]),
    extended("SELECT * FROM l WHERE t = $1 AND x > $2::int", ["it's", None]),
    pgraw.parse("named", "UPDATE l SET t = $1 WHERE x = 3") + pgraw.SYNC,
    pgraw.bind("", "named", ["one"]) + pgraw.execute("") + pgraw.bind("", "named", ["two"]) + pgraw.execute("") +
    pgraw.SYNC,
    pgraw.query("SELECT 1/0"), pgraw.query("TABLE public.forbidden"), pgraw.query("SELEC"),
    pgraw.query("PREPARE p(int) AS SELECT $1; "), pgraw.query("EXECUTE p(5)"),
    pgraw.query("BEGIN"), extended("SELECT generate_series(1, 9)", portal="c"), pgraw.query("FETCH ALL FROM c"),
    pgraw.query("ROLLBACK"), pgraw.query("EXPLAIN SELECT 1"), pgraw.query("COPY l TO STDOUT"), pgraw.query("; ;"),
]


def statements_of(log, pid):
    """What the server's log says that it ran for one of its processes, in order."""
    found = []
    for line in log.splitlines():
        at = re.search(rf"\[{pid}\] LOG:  (?:statement|execute [^:]*): (.*)", line)
        if at:
            found.append(at.group(1).strip())
    return found


def test_nothing_reaches_the_target_without_a_record(gateway, test_db):
    client = pgraw.RawClient(gateway.port, "test", gateway.shared_token)
    client.send(pgraw.query("SELECT pg_backend_pid()::text"))
    pid = next(body[6:].decode() for kind, body in client.until_ready() if kind == b"D")
    for sent in SCRIPT:
        client.send(sent)
        list(client.until_ready())
    client.send(pgraw.TERMINATE)
    client.close()
    session = gateway.records(type="command_intent", statement="pg_backend_pid()::text")[-1]["session"]
    closed = gateway.records(type="session_closed", session=session)[0]
    intents = gateway.records_now(type="command_intent", session=session)
    outcomes = {r["command"]: r for r in gateway.records_now(type="command_outcome", session=session)}
    allowed = [r for r in intents if r["verdict"] == "allow"]
    logged = statements_of(test_db.log.read_text(errors="replace"), pid)
    assert len(logged) > 15
    recorded = [r["statement"] for r in allowed]
    for statement in logged:
        assert any(statement in text or text in statement for text in recorded), statement
    # Refused statements were given to the server as something that no grammar accepts.
    assert not any("forbidden" in s or "SELEC" == s for s in logged)
    assert {r["statement"] for r in intents if r["verdict"] == "deny"} == {"TABLE public.forbidden", "SELEC"}
    # Each intent before its outcome, one outcome for each that was admitted.
    assert sorted(outcomes) == sorted(r["command"] for r in allowed)
    for intent in allowed:
        assert intent["seq"] < outcomes[intent["command"]]["seq"] and intent["n"] < outcomes[intent["command"]]["n"]
    assert (closed["commands"], closed["denied"]) == (len(intents), 2)


def outcome_of(gateway, statement, index=-1):
    intent = gateway.records(type="command_intent", statement=statement)[index]
    return intent, gateway.records(type="command_outcome", session=intent["session"], command=intent["command"])[0]


def test_rows_bytes_time_and_errors_are_counted(gateway):
    connection = gateway.connect(token=gateway.shared_token)
    cursor = connection.cursor()
    cursor.execute("SELECT g, repeat('x', 100) FROM generate_series(1, 1234) g /* counted */")
    cursor.execute("CREATE TEMPORARY TABLE n AS SELECT g FROM generate_series(1, 77) g")
    cursor.execute("DELETE FROM n WHERE g > 7")
    with pytest.raises(psycopg2.errors.DivisionByZero):
        cursor.execute("SELECT 1/0 /* counted */")
    cursor.execute("SELECT pg_sleep(0.3)")
    connection.close()
    _, outcome = outcome_of(gateway, "1234) g /* counted */")
    assert outcome["rows"] == 1234 and 1234 * 110 < outcome["bytes"] < 1234 * 140 and outcome["error"] is None
    assert outcome_of(gateway, "CREATE TEMPORARY TABLE n AS")[1]["rows"] == 77
    assert outcome_of(gateway, "DELETE FROM n WHERE g > 7")[1]["rows"] == 70
    assert outcome_of(gateway, "1/0 /* counted */")[1]["error"] == "22012"
    assert outcome_of(gateway, "pg_sleep(0.3)")[1]["duration_us"] >= 300000


def test_bind_values_are_recorded_with_their_types(gateway):
    client = pgraw.RawClient(gateway.port, "test", gateway.shared_token)
    sql = "SELECT $1::text, $2::int, $3::bytea, $4::text /* bound */"
    body = (b"\0\0" + pgraw.struct.pack("!HHHHH", 4, 0, 0, 1, 0) + pgraw.struct.pack("!H", 4) +
            b"\0\0\0\6na\xc3\xafve" + b"\0\0\0\2" + b"42" + b"\0\0\0\2\0\xff" + b"\xff\xff\xff\xff" + b"\0\0")
    client.send(pgraw.parse("", sql, [25, 23, 17, 25]) + pgraw.message(b"B", body) + pgraw.execute("") + pgraw.SYNC)
    assert [kind for kind, _ in client.until_ready()] == [b"1", b"2", b"D", b"C", b"Z"]
    client.close()
    record = gateway.records(type="command_intent", statement="/* bound */")[-1]
    assert record["binds"] == [
        {"type": 25, "text": "naïve"}, {"type": 23, "text": "42"},
        {"type": 17, "base64": base64.b64encode(b"\0\xff").decode()}, {"type": 25, "null": True}]


def test_a_parse_alone_runs_nothing_and_each_execute_is_a_command(gateway):
    client = pgraw.RawClient(gateway.port, "test", gateway.shared_token)
    mark = f"/* alone {time.monotonic_ns()} */"
    client.send(pgraw.parse("s", f"SELECT 1 {mark}") + pgraw.SYNC)
    list(client.until_ready())
    client.send(pgraw.query("SELECT 'after the parse'"))
    list(client.until_ready())
    gateway.records(type="command_intent", statement="after the parse")
    assert not gateway.records_now(type="command_intent", statement=mark)
    for _ in range(3):
        client.send(pgraw.bind("", "s") + pgraw.execute("") + pgraw.SYNC)
        list(client.until_ready())
    client.close()
    assert len(gateway.records(3, type="command_intent", statement=mark)) == 3


def test_what_the_server_skips_after_an_error_is_recorded_as_skipped(gateway):
    client = pgraw.RawClient(gateway.port, "test", gateway.shared_token)
    client.send(pgraw.parse("", "SELECT 1/g FROM generate_series(0, 0) g /* breaks */") + pgraw.bind("", "") + pgraw.execute("") +
                pgraw.parse("", "SELECT 1 /* skipped */") + pgraw.bind("", "") + pgraw.execute("") + pgraw.SYNC)
    kinds = [kind for kind, _ in client.until_ready()]
    assert kinds.count(b"E") == 1 and kinds[-1] == b"Z"
    client.close()
    assert outcome_of(gateway, "/* breaks */")[1]["error"] == "22012"
    skipped = gateway.records_now(type="command_intent", statement="/* skipped */")
    for intent in skipped:
        outcome = gateway.records(type="command_outcome", session=intent["session"], command=intent["command"])[0]
        assert outcome["error"] == "skipped"


def test_a_cancel_is_recorded(gateway):
    connection = gateway.connect(token=gateway.shared_token)
    connection.cancel()
    connection.cursor().execute("SELECT 1")
    connection.close()
    assert gateway.records(type="event", event="cancel_request")


# --- without room --------------------------------------------------------------------------------

def commands_stop(connection):
    def refused():
        try:
            connection.cursor().execute("SELECT 1")
        except psycopg2.Error as e:
            return e
        return None
    return machine.until(refused, "commands to be refused")


def test_without_room_for_the_ledger_nothing_runs_and_with_room_again_it_goes_on(gateway, authority, test_db):
    with shared_gateway(authority, {"test": gateways.resource(test_db, authority)}) as own:
        live = own.connect()
        own.reload({"ledger": {"min_free": "900GiB"}})
        error = commands_stop(live)
        assert "ledger" in str(error).lower() or live.closed
        mark = f"no room {time.monotonic_ns()}"

        def run():
            connection = own.connect()
            connection.cursor().execute(f"SELECT '{mark}'")
            connection.close()
        with pytest.raises(psycopg2.Error):
            run()
        # New clients are told before TLS, in clear, which libpq shows from version 17 on.
        with own.socket() as plain:
            data, _ = gateways.closed_within(plain)
        told = pgraw.error_fields(data[5:])
        assert told["S"] == "FATAL" and "ledger" in told["M"]
        assert not test_db.logged(mark)
        own.reload({"ledger": {"min_free": "0B"}})

        def works():
            try:
                run()
            except psycopg2.Error:
                return False
            return True
        machine.until(works, "commands to run again")
        assert own.records(type="command_intent", statement=mark) and test_db.logged(mark)
        live.close()


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root, for a file system of its own")
    path = tmp_path / "small"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", path], check=False,
                      capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_stops_commands_and_loses_none(authority, test_db, small_disk):
    ledger = small_disk / "ledger"
    ledger.mkdir(mode=0o700)
    with shared_gateway(authority, {"test": gateways.resource(test_db, authority)},
                        {"ledger": {"directory": str(ledger), "min_free": "0B"}}) as own:
        own.ledger_folder = ledger
        token, mark, ran = own.token(), f"full {time.monotonic_ns()}", 0
        connection = own.connect(token=token)
        with pytest.raises(psycopg2.Error):
            for ran in range(100000):
                connection.cursor().execute(f"SELECT '{mark}', {ran}, '{'x' * 20000}'")
        assert 10 < ran < 100000
        with pytest.raises(psycopg2.Error):
            other = own.connect(token=token)
            other.cursor().execute(f"SELECT '{mark} while full'")
        assert not test_db.logged(f"{mark} while full")
        subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)

        def works():
            try:
                fresh = own.connect(token=token)
                fresh.cursor().execute(f"SELECT '{mark} with room'")
                fresh.close()
            except psycopg2.Error:
                return False
            return True
        machine.until(works, "commands to run again")
        own.records(type="command_intent", statement=f"{mark} with room")
        # Everything that the target ran is on the record.
        recorded = "\n".join(r["statement"][:80] for r in own.records_now(type="command_intent"))
        reached = set(re.findall(rf"statement: SELECT '{mark}', (\d+), ", test_db.log.read_text(errors="replace")))
        assert len(reached) >= ran
        missing = [n for n in reached if f"'{mark}', {n}, " not in recorded]
        assert not missing
