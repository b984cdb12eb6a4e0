"""What libpq offers, by psycopg2."""
import io
import select
import threading

import psycopg2
import psycopg2.extensions
import pytest

from harness import gateway as gateways
from harness import machine
from shared_gateway import shared_gateway

NO_LARGE_OBJECTS = [{"name": "all", "allow": ["all"]},
                    {"name": "no large objects", "commands": ["large-object"], "deny": "no large objects"}]


@pytest.fixture(scope="module")
def gateway(authority, test_db):
    resources = {"test": gateways.resource(test_db, authority)}
    with shared_gateway(authority, resources) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def token(gateway):
    return gateway.token()


@pytest.fixture
def connection(gateway, token):
    connection = gateway.connect(token=token, autocommit=False)
    yield connection
    connection.close()


@pytest.fixture
def cursor(connection):
    return connection.cursor()


def test_transactions_are_isolated_committed_and_rolled_back(gateway, token, connection, cursor, database):
    with gateway.connect(token=token, database=database, autocommit=False) as one, \
            gateway.connect(token=token, database=database) as two:
        a, b = one.cursor(), two.cursor()
        a.execute("CREATE TABLE t (x int)")
        one.commit()
        a.execute("INSERT INTO t VALUES (1)")
        b.execute("SELECT count(*) FROM t")
        assert b.fetchone() == (0,)
        one.commit()
        b.execute("SELECT count(*) FROM t")
        assert b.fetchone() == (1,)
        a.execute("INSERT INTO t VALUES (2)")
        one.rollback()
        b.execute("SELECT count(*) FROM t")
        assert b.fetchone() == (1,)
    one.close(), two.close()


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_isolation_levels_pass_through(connection, cursor, level):
    connection.set_session(isolation_level=level)
    cursor.execute("SHOW transaction_isolation")
    assert cursor.fetchone() == (level.lower(),)


def test_two_phase_commit(gateway, token):
    connection = gateway.connect(token=token, autocommit=False)
    connection.tpc_begin(connection.xid(1, "bulkhead", "branch"))
    connection.cursor().execute("CREATE TEMPORARY SEQUENCE s")
    connection.tpc_rollback()
    connection.tpc_begin(connection.xid(1, "bulkhead", "branch"))
    connection.cursor().execute("SELECT 1")
    connection.tpc_prepare()
    connection.tpc_commit()
    connection.close()


@pytest.mark.parametrize("options", ["FORMAT text", "FORMAT csv, HEADER", "FORMAT binary"])
def test_copy_in_both_directions(connection, cursor, options):
    cursor.execute("CREATE TEMPORARY TABLE c AS SELECT g AS n, repeat('ä', g) AS t "
                   "FROM generate_series(1, 2000) g")
    out = io.BytesIO()
    cursor.copy_expert(f"COPY c TO STDOUT ({options})", out)
    cursor.execute("CREATE TEMPORARY TABLE d (LIKE c)")
    out.seek(0)
    cursor.copy_expert(f"COPY d FROM STDIN ({options})", out)
    assert cursor.rowcount == 2000
    cursor.execute("SELECT count(*) FROM (TABLE c EXCEPT TABLE d) x")
    assert cursor.fetchone() == (0,)


def test_copy_that_fails_at_the_server_leaves_the_session_usable(connection, cursor):
    cursor.execute("CREATE TEMPORARY TABLE c (n int)")
    connection.commit()
    with pytest.raises(psycopg2.DataError):
        cursor.copy_expert("COPY c FROM STDIN", io.StringIO("1\nnot a number\n" + "2\n" * 100000))
    connection.rollback()
    cursor.execute("SELECT count(*) FROM c")
    assert cursor.fetchone() == (0,)


def test_copy_that_the_client_breaks_off_leaves_the_session_usable(connection, cursor):
    class Broken(io.StringIO):
        def read(self, size=-1):
            if self.tell() > 10000:
                raise RuntimeError("the file broke")
            return super().read(size)
    cursor.execute("CREATE TEMPORARY TABLE c (n int)")
    connection.commit()
    with pytest.raises(psycopg2.errors.QueryCanceled):
        cursor.copy_expert("COPY c FROM STDIN", Broken("1\n" * 100000))
    connection.rollback()
    cursor.execute("SELECT count(*) FROM c")
    assert cursor.fetchone() == (0,)


def test_notifications_arrive_between_commands_and_while_idle(gateway, token):
    listener, speaker = gateway.connect(token=token), gateway.connect(token=token)
    listener.cursor().execute("LISTEN news")
    speaker.cursor().execute("NOTIFY news, 'while idle'")
    machine.until(lambda: listener.poll() or listener.notifies, "a notification")
    note = listener.notifies.pop()
    assert (note.channel, note.payload) == ("news", "while idle")
    speaker.cursor().execute("SELECT pg_notify('news', n::text) FROM generate_series(1, 500) n")
    listener.cursor().execute("SELECT 1")
    machine.until(lambda: listener.poll() or len(listener.notifies) == 500, "500 notifications")
    assert [n.payload for n in listener.notifies] == [str(i) for i in range(1, 501)]
    listener.close(), speaker.close()


@pytest.mark.parametrize("options", [{}, {"withhold": True}, {"scrollable": True}])
def test_named_cursors(connection, options):
    cursor = connection.cursor("c", **options)
    cursor.itersize = 10
    cursor.execute("SELECT g FROM generate_series(1, 95) g")
    if options.get("withhold"):
        connection.commit()
    if options.get("scrollable"):
        cursor.scroll(94)
        cursor.scroll(-94)
    assert [row[0] for row in cursor] == list(range(1, 96))
    cursor.close()


def test_large_objects_can_be_used_in_statements_where_the_class_is_allowed(connection, cursor):
    cursor.execute("SELECT lo_from_bytea(0, %s)", (b"large",))
    oid = cursor.fetchone()[0]
    cursor.execute("SELECT lo_put(%s, 5, %s)", (oid, b" object"))
    cursor.execute("SELECT lo_get(%s)", (oid,))
    assert bytes(cursor.fetchone()[0]) == b"large object"
    cursor.execute("SELECT lo_open(%s, 262144)", (oid,))
    descriptor = cursor.fetchone()[0]
    cursor.execute("SELECT loread(%s, 5)", (descriptor,))
    assert bytes(cursor.fetchone()[0]) == b"large"
    cursor.execute("SELECT lo_unlink(%s)", (oid,))


def test_large_objects_are_refused_where_the_class_is_denied(gateway, authority, test_db):
    with shared_gateway(authority, {"test": gateways.resource(test_db, authority)},
                        {"policies": NO_LARGE_OBJECTS}) as strict:
        connection = strict.connect()
        for sql in ("SELECT lo_create(0)", "SELECT lo_get(1)", "SELECT lo_unlink(1)",
                    "SELECT lo_import('/etc/passwd')", "SELECT lo_export(1, '/tmp/x')",
                    "SELECT lowrite(0, 'x')", "COMMENT ON LARGE OBJECT 1 IS 'x'"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege) as refusal:
                connection.cursor().execute(sql)
            assert refusal.value.diag.message_primary == "no large objects", sql
        connection.close()


def test_the_function_call_protocol_is_refused_and_the_session_goes_on(connection, cursor):
    cursor.execute("SELECT 1")
    with pytest.raises(psycopg2.Error) as refusal:
        connection.lobject(0, "wb")
    assert "function-call protocol does not pass" in str(refusal.value)
    connection.rollback()
    cursor.execute("SELECT 1")


def test_notices_and_warnings_reach_the_client(connection, cursor):
    cursor.execute("DO $$ BEGIN RAISE WARNING 'careful'; RAISE NOTICE 'look'; END $$")
    assert connection.notices == ["WARNING:  careful\n", "NOTICE:  look\n"]


def test_error_fields_reach_the_client_unchanged(connection, cursor):
    cursor.execute("CREATE TEMPORARY TABLE e (a int CONSTRAINT small CHECK (a < 10))")
    with pytest.raises(psycopg2.errors.CheckViolation) as error:
        cursor.execute("INSERT INTO e VALUES (11)")
    diag = error.value.diag
    assert (diag.constraint_name, diag.table_name) == ("small", "e")
    assert diag.message_detail == "Failing row contains (11)."


def test_cancel_ends_the_running_statement_and_the_session_goes_on(connection, cursor):
    errors = []

    def run():
        try:
            cursor.execute("SELECT pg_sleep(120)")
        except psycopg2.Error as e:
            errors.append(e)
    thread = threading.Thread(target=run)
    thread.start()

    def cancelled():
        connection.cancel()
        return not thread.is_alive()
    machine.until(cancelled, "the statement to be cancelled", every=0.1)
    thread.join()
    assert isinstance(errors[0], psycopg2.errors.QueryCanceled)
    connection.rollback()
    cursor.execute("SELECT 1")
    assert cursor.fetchone() == (1,)


def test_async_mode(gateway, token):
    connection = psycopg2.connect(**gateway.parameters(token=token), async_=True)

    def wait():
        while (state := connection.poll()) != psycopg2.extensions.POLL_OK:
            fds = [connection.fileno()]
            read = fds if state == psycopg2.extensions.POLL_READ else []
            assert any(select.select(read, [] if read else fds, [], machine.PATIENCE))
    wait()
    cursor = connection.cursor()
    cursor.execute("SELECT g, repeat('x', 1000) FROM generate_series(1, 5000) g")
    wait()
    assert len(cursor.fetchall()) == 5000
    connection.close()


def test_parameter_statuses_are_the_targets(connection, cursor):
    assert connection.get_parameter_status("server_version").startswith("15.")
    assert connection.get_parameter_status("standard_conforming_strings") == "on"
    assert connection.encoding == "UTF8"
    cursor.execute("SET TimeZone TO 'Asia/Tokyo'")
    assert connection.get_parameter_status("TimeZone") == "Asia/Tokyo"


def test_start_up_options_and_application_name_pass_through(gateway, token):
    connection = gateway.connect(token=token, options="-c statement_timeout=54321 -c search_path=a,b",
                                 application_name="agent seven")
    cursor = connection.cursor()
    cursor.execute("SELECT current_setting('statement_timeout'), current_setting('search_path'), "
                   "current_setting('application_name')")
    assert cursor.fetchone() == ("54321ms", "a,b", "agent seven")
    connection.close()


def test_start_up_options_that_change_what_statements_do_are_refused(gateway, token):
    for option in ("role=app_super", "session_replication_role=replica", "client_encoding=SJIS",
                   "standard_conforming_strings=off", "session_preload_libraries=x"):
        with pytest.raises(psycopg2.OperationalError):
            gateway.connect(token=token, options=f"-c {option}").close()


@pytest.mark.parametrize("sql", ["SET client_encoding = 'SJIS'", "SET NAMES 'LATIN1'",
                                 "SELECT set_config('client_encoding', 'SJIS', false)",
                                 "SET standard_conforming_strings = off",
                                 "SET LOCAL standard_conforming_strings TO 'off'"])
def test_settings_that_change_how_statements_are_read_are_refused(connection, cursor, sql):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute(sql)
    connection.rollback()
    cursor.execute("SHOW client_encoding")
    assert cursor.fetchone() == ("UTF8",)


def test_many_rows_and_wide_rows(cursor):
    cursor.execute("SELECT g, repeat(md5(g::text), 50) FROM generate_series(1, 20000) g")
    assert len(cursor.fetchall()) == 20000
    cursor.execute("SELECT " + ", ".join(f"{i} AS c{i}" for i in range(1600)))
    assert cursor.fetchone() == tuple(range(1600))


def test_a_row_of_32_megabytes_arrives_whole(cursor):
    cursor.execute("SELECT repeat('abcdefgh', 4 * 1024 * 1024), length(%s)", ("y" * 1000000,))
    big, length = cursor.fetchone()
    assert len(big) == 32 << 20 and big == "abcdefgh" * (4 << 20) and length == 1000000
