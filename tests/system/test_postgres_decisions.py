"""What is decided when, and what a client is told: refusals, transactions, prepared statements, the
end of a token."""
import time

import psycopg2
import pytest

import pgraw
from harness import gateway as gateways
from harness import machine
from shared_gateway import shared_gateway

POLICIES = [
    {"name": "work", "allow": ["read", "write", "ddl", "session"]},
    {"name": "no secrets", "tables": ["secrets"], "deny": "the secrets are nobody's business"},
    {"name": "never", "commands": ["drop-database", "mass-write", "truncate"], "deny": "never done by an agent"},
]


@pytest.fixture(scope="module")
def gateway(authority, test_db):
    with shared_gateway(authority, {"test": gateways.resource(test_db, authority)},
                        {"policies": POLICIES}) as gateway:
        gateway.shared_token = gateway.token()
        yield gateway


@pytest.fixture
def connection(gateway, database):
    connection = gateway.connect(token=gateway.shared_token, database=database)
    yield connection
    connection.close()


@pytest.fixture
def cursor(connection):
    return connection.cursor()


@pytest.fixture
def client(gateway, database):
    client = pgraw.RawClient(gateway.port, "test", gateway.shared_token, database=database,
                             timeout=machine.PATIENCE)
    yield client
    client.close()


def refused(cursor, sql, *values):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege) as refusal:
        cursor.execute(sql, *values)
    return refusal.value.diag


def test_a_refusal_names_message_rule_class_and_what_is_allowed(cursor, database):
    diag = refused(cursor, f'DROP DATABASE "{database}"')
    assert (diag.severity, diag.sqlstate) == ("ERROR", "42501")
    assert diag.message_primary == "never done by an agent"
    assert 'rule "never"' in diag.message_detail and "drop-database" in diag.message_detail
    assert "read" in diag.message_hint and "ddl" in diag.message_hint


def test_a_refusal_by_default_says_what_no_rule_allows(cursor):
    diag = refused(cursor, "DO $$ BEGIN NULL; END $$")
    assert diag.message_detail.startswith("no rule allows") and "anonymous-code" in diag.message_detail
    assert "allowed here" in diag.message_hint


@pytest.mark.parametrize("sql, why", [
    ("SELECT * FROM notes", "in every schema; write the name with its schema."),
    ("SELECT 1", "names no table; rules with schemas or tables do not cover it.")])
def test_a_refusal_by_default_says_what_rules_with_schemas_do_not_cover(authority, test_db, sql, why):
    policies = [{"name": "narrow", "schemas": ["public"], "allow": ["read"]},
                {"name": "sessions", "allow": ["session"]}]
    with shared_gateway(authority, {"test": gateways.resource(test_db, authority)},
                        {"policies": policies}) as narrow:
        connection = narrow.connect(token=narrow.token())
        with connection.cursor() as cursor:
            assert refused(cursor, sql).message_detail.endswith(why)
        connection.close()


MULTI = ["CREATE TABLE public.a (x int); DELETE FROM public.secrets; CREATE TABLE public.b (x int)",
         "CREATE TABLE public.a (x int); COMMIT; TRUNCATE public.a",
         "CREATE TABLE public.a (x int); SELEC", "SELECT 1; TABLE public.secrets",
         "BEGIN; CREATE TABLE public.a (x int); COMMIT; DELETE FROM public.a"]


@pytest.mark.parametrize("sql", MULTI)
def test_a_string_of_statements_is_decided_whole(client, test_db, database, sql):
    client.send(pgraw.query(sql))
    kinds = [kind for kind, _ in client.until_ready()]
    assert kinds == [b"E", b"Z"]
    assert test_db.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
                       database=database) == [(0,)]


NESTED = ["WITH d AS (DELETE FROM public.secrets WHERE x = 1 RETURNING x) SELECT * FROM d",
          "EXPLAIN ANALYZE DELETE FROM public.t", "PREPARE p AS TABLE public.secrets",
          "DECLARE c CURSOR WITH HOLD FOR TABLE public.secrets", "CREATE TABLE public.u AS TABLE public.secrets",
          "CREATE VIEW public.v AS SELECT * FROM public.secrets", "COPY (TABLE public.secrets) TO STDOUT",
          "COPY public.secrets TO STDOUT", "COPY public.secrets FROM STDIN", "SELECT (SELECT x FROM public.secrets)",
          "INSERT INTO public.t SELECT x FROM secrets", "SELECT * FROM public.t WHERE EXISTS (TABLE secrets)",
          "COPY public.t TO PROGRAM 'true'", "COPY public.t FROM '/etc/passwd'", "SELECT pg_read_file('/etc/passwd')",
          "SET ROLE postgres", "SET SESSION AUTHORIZATION postgres", "ALTER SYSTEM SET fsync = off",
          "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CALL public.p()",
          "SELECT public.own_function()", "SELECT query_to_xml('TABLE public.secrets', true, true, '')",
          "GRANT ALL ON public.t TO PUBLIC", "LOAD 'x'", "SELECT pg_terminate_backend(1)",
          "CREATE EXTENSION dblink", "SELECT set_config('role', 'postgres', false)"]


@pytest.mark.parametrize("sql", NESTED)
def test_what_hides_inside_a_statement_counts(gateway, cursor, test_db, database, sql):
    marked = f"{sql} /* {database} */"
    refused(cursor, marked)
    cursor.execute("SELECT 1")
    assert not test_db.logged(marked)
    record = gateway.record(type="command_intent", statement=marked)
    assert record["verdict"] == "deny"


def states(client, *messages):
    """The transaction state at each ReadyForQuery, and the SQLSTATEs of errors between."""
    client.send(b"".join(messages))
    got = []
    for _ in messages:
        for kind, body in client.until_ready():
            if kind == b"E":
                got.append(pgraw.error_fields(body)["C"])
        got.append(body.decode())
    return got


def test_a_refusal_in_a_transaction_leaves_it_failed_until_rollback(client):
    assert states(client, *map(pgraw.query, [
        "BEGIN", "TABLE public.secrets", "SELECT 1", "ROLLBACK", "SELECT 1"])) == [
        "T", "42501", "E", "25P02", "E", "I", "I"]


def test_savepoints_undo_a_refusal(client):
    assert states(client, *map(pgraw.query, [
        "BEGIN", "CREATE TABLE public.t (x int)", "SAVEPOINT s", "TRUNCATE public.t", "ROLLBACK TO s",
        "INSERT INTO public.t VALUES (1)", "COMMIT", "SELECT x FROM public.t"])) == [
        "T", "T", "T", "42501", "E", "T", "T", "I", "I"]


def extended(sql, values=()):
    return pgraw.parse("", sql) + pgraw.bind("", "", list(values)) + pgraw.execute("") + pgraw.SYNC


def test_after_a_refusal_the_extended_protocol_goes_on_at_sync(client):
    client.send(pgraw.parse("", "TABLE public.secrets") + pgraw.bind("", "") + pgraw.execute("") +
                pgraw.parse("kept", "SELECT 1") + pgraw.SYNC + extended("SELECT 2"))
    assert [kind for kind, _ in client.until_ready()] == [b"E", b"Z"]
    assert [kind for kind, _ in client.until_ready()] == [b"1", b"2", b"D", b"C", b"Z"]
    client.send(pgraw.bind("", "kept") + pgraw.SYNC)
    error = next(pgraw.error_fields(body) for kind, body in client.until_ready() if kind == b"E")
    assert error["C"] == "26000"


def test_a_refused_parse_does_not_replace_the_statement_of_that_name(client):
    assert states(client, pgraw.parse("s", "SELECT 1") + pgraw.SYNC) == ["I"]
    client.send(pgraw.close("S", "s") + pgraw.parse("s", "TABLE public.secrets") + pgraw.SYNC)
    assert [kind for kind, _ in client.until_ready()] == [b"3", b"E", b"Z"]
    client.send(pgraw.bind("", "s") + pgraw.execute("") + pgraw.SYNC)
    assert [kind for kind, _ in client.until_ready()] == [b"E", b"Z"]


def test_a_cursor_that_sql_replaced_is_not_run_by_the_protocol(client, gateway):
    """DECLARE after CLOSE gives the portal's name another meaning; what runs must be what was decided."""
    script = [pgraw.query("BEGIN"), pgraw.parse("", "SELECT 'first'") + pgraw.bind("c", "") + pgraw.SYNC,
              pgraw.query("CLOSE c"), pgraw.query("DECLARE c CURSOR FOR SELECT 'second'"),
              pgraw.execute("c") + pgraw.SYNC]
    assert states(client, *script) == ["T", "T", "T", "T", "34000", "E"]


def test_a_prepared_statement_is_refused_at_execute_after_the_policy_changed(gateway, test_db, authority):
    with shared_gateway(authority, {"test": gateways.resource(test_db, authority)}) as own:
        client = pgraw.RawClient(own.port, "test", own.token())
        sql = "SELECT count(*) FROM pg_catalog.pg_class"
        assert states(client, pgraw.parse("p", sql) + pgraw.SYNC, pgraw.bind("", "p") + pgraw.execute("") + pgraw.SYNC,
                      pgraw.query(f"PREPARE q AS {sql}"), pgraw.query("EXECUTE q")) == ["I"] * 4
        own.reload({"policies": [{"name": "all", "allow": ["all"]},
                                 {"name": "closed", "tables": ["pg_class"], "deny": "closed now"}]})
        assert states(client, pgraw.bind("", "p") + pgraw.execute("") + pgraw.SYNC, pgraw.query("EXECUTE q"),
                      pgraw.query("SELECT 1"), pgraw.bind("named", "p") + pgraw.SYNC) == [
            "42501", "I", "42501", "I", "I", "42501", "I"]
        client.close()


def ended_within(client, seconds):
    """The last error that an idle client is told, and how long that took."""
    begun = time.monotonic()
    client.socket.settimeout(seconds + 5)
    messages = client.until_closed()
    took = time.monotonic() - begun
    return pgraw.error_fields(next(body for kind, body in messages if kind == b"E")), took


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_revocation_ends_live_sessions_within_two_seconds(gateway, test_db, busy):
    token = gateway.token(subject=f"revoked-{busy}")
    client = pgraw.RawClient(gateway.port, "test", token)
    mark = f"revoked {busy} {time.monotonic_ns()}"
    if busy:
        client.send(pgraw.query(f"SELECT pg_sleep(60), '{mark}'"))
        machine.until(lambda: test_db.sql(f"SELECT 1 FROM pg_stat_activity WHERE query LIKE '%{mark}%' AND "
                                          "pid <> pg_backend_pid()"), "the statement to run")
    token_id = gateway.records(type="session_opened",
                               identity=lambda i: i["subject"] == f"revoked-{busy}")[-1]["identity"]["token_id"]
    gateway.cli("token", "revoke", token_id)
    error, took = ended_within(client, 2)
    assert took < 2 and error["S"] == "FATAL" and "revoked" in error["M"]
    # What it had running is cancelled: the server would not notice before the end.
    machine.until(lambda: not test_db.sql(f"SELECT 1 FROM pg_stat_activity WHERE query LIKE '%{mark}%' AND "
                                          "state = 'active' AND pid <> pg_backend_pid()"), "the statement to end")
    with pytest.raises(AssertionError, match="revoked"):
        pgraw.RawClient(gateway.port, "test", token)


def test_expiry_ends_live_sessions_within_two_seconds(gateway):
    begun = time.time()
    client = pgraw.RawClient(gateway.port, "test", gateway.token(subject="short", ttl="3s"))
    error, _ = ended_within(client, 6)
    assert time.time() - begun < 3 + 2 + 1 and error["S"] == "FATAL" and "expired" in error["M"]


def test_nothing_runs_after_expiry(gateway, test_db):
    client = pgraw.RawClient(gateway.port, "test", gateway.token(subject="short", ttl="3s"))
    mark, last = f"expiry {time.monotonic_ns()}", 0.0
    deadline = time.time() + 10
    with pytest.raises((EOFError, ConnectionError)):
        while time.time() < deadline:
            client.send(pgraw.query(f"SELECT '{mark}'"))
            for kind, _ in client.until_ready():
                if kind == b"C":
                    last = time.time()
    opened = gateway.records(type="session_opened", identity=lambda i: i["subject"] == "short")[-1]
    assert last and opened["expires"]
