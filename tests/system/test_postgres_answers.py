"""What comes back: rows within limits, writes that are rolled back, protected columns masked."""
import contextlib
import io
import time

import psycopg2
import psycopg2.errors
import pytest

import pgraw
from harness import gateway as gateways
from harness import machine

LIMITS = {"rows_per_command": 100, "seconds_per_command": "2s", "max_affected_rows": 5}


@pytest.fixture
def people(test_db, database):
    test_db.sql("CREATE TABLE people (id int PRIMARY KEY, name text, ssn text, note jsonb)",
                "INSERT INTO people SELECT i, 'name ' || i, '078-05-' || lpad(i::text, 4, '0'),"
                " jsonb_build_object('mail', 'p' || i || '@example.com')"
                " FROM generate_series(1, 1000) i",
                "GRANT ALL ON people TO PUBLIC", database=database)
    return database


@pytest.fixture
def limited(gateway):
    return gateway({"policies": [{"name": "a little", "allow": ["all"], "limits": LIMITS}]})


@pytest.fixture
def masked(gateway, test_db, authority):
    return gateway({"policies": gateways.ALLOW_ALL, "resources": {"test": gateways.resource(
        test_db, authority, protect=[{"columns": ["people.ssn"], "mask": "redact"}],
        detect=["email"])}})


def refused(cursor, sql, sqlstate="54000"):
    with pytest.raises(psycopg2.Error) as error:
        cursor.execute(sql)
    assert error.value.pgcode == sqlstate, error.value
    return str(error.value)


def test_too_many_rows_are_an_error_and_the_session_goes_on(limited, people):
    with contextlib.closing(limited.connect(database=people)) as c, c.cursor() as cursor:
        for _ in range(5):
            message = refused(cursor, "SELECT repeat('x', 10000), i FROM generate_series(1, 100000) i")
            assert 'limit "rows_per_command": more than 100 rows' in message
            cursor.execute("SELECT id FROM people LIMIT 100")
            assert cursor.rowcount == 100
    for record in limited.records(5, type="command_outcome", limit="rows_per_command"):
        assert (record["rows"], record["error"]) == (100, "54000")


def test_fetches_of_a_cursor_are_one_command(limited, people):
    with contextlib.closing(limited.connect(database=people)) as c, c.cursor() as cursor:
        for _ in range(2):
            cursor.execute("BEGIN; DECLARE a CURSOR FOR SELECT id FROM people; FETCH 60 FROM a")
            cursor.execute("DECLARE b CURSOR FOR SELECT id FROM people")
            cursor.execute("FETCH 60 FROM b")
            cursor.execute("FETCH 40 FROM b; FETCH 40 FROM a")
            refused(cursor, "FETCH 1 FROM b")
            cursor.execute("ROLLBACK")


def test_a_cursor_that_cannot_be_declared_again_goes_on_counting(limited, people):
    with contextlib.closing(limited.connect(database=people)) as c, c.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("DECLARE a CURSOR FOR SELECT id FROM people")
        cursor.execute("FETCH 100 FROM a")
        cursor.execute("SAVEPOINT s")
        refused(cursor, "DECLARE a CURSOR FOR SELECT 1", "42P03")
        cursor.execute("ROLLBACK TO s")
        refused(cursor, "FETCH 1 FROM a")


def test_what_takes_too_long_is_cancelled(limited, people):
    with contextlib.closing(limited.connect(database=people)) as c, c.cursor() as cursor:
        start = time.monotonic()
        assert "seconds_per_command" in refused(cursor, "SELECT pg_sleep(30)", "57014")
        assert time.monotonic() - start < 10
        cursor.execute("SELECT 1")


@pytest.mark.parametrize("write", [
    "UPDATE people SET name = 'x' WHERE id < 100",
    "DELETE FROM people WHERE id < 100",
    "INSERT INTO people SELECT i FROM generate_series(2000, 2100) i",
    "SELECT 1; UPDATE people SET name = 'x' WHERE id < 100; SELECT 2",
])
def test_writes_beyond_the_limit_are_rolled_back(limited, people, test_db, write):
    with contextlib.closing(limited.connect(database=people)) as c, c.cursor() as cursor:
        assert "rows changed" in refused(cursor, write)
        cursor.execute("UPDATE people SET name = 'y' WHERE id <= 5")
        assert cursor.rowcount == 5
        assert c.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_IDLE
        assert test_db.sql("SELECT count(*) FILTER (WHERE name = 'y'), count(*) FROM people",
                           database=people) == [(5, 1000)]


def test_in_a_transaction_all_of_it_is_rolled_back(limited, people, test_db):
    with contextlib.closing(limited.connect(database=people, autocommit=False)) as c, c.cursor() as cursor:
        cursor.execute("UPDATE people SET name = 'y' WHERE id = 1")
        refused(cursor, "UPDATE people SET name = 'x' WHERE id < 100")
        refused(cursor, "SELECT 1", "25P02")
        c.commit()
        cursor.execute("SELECT name FROM people WHERE id = 1")
        assert cursor.fetchall() == [("name 1",)]
        c.rollback()


def test_copied_rows_count_as_changes(limited, people, test_db):
    with contextlib.closing(limited.connect(database=people)) as c, c.cursor() as cursor:
        with pytest.raises(psycopg2.Error) as error:
            cursor.copy_expert("COPY people (id) FROM STDIN",
                               io.StringIO("".join(f"{i}\n" for i in range(5000, 5010))))
        assert error.value.pgcode == "54000"
        cursor.copy_expert("COPY people (id) FROM STDIN", io.StringIO("6000\n6001\n"))
        assert test_db.sql("SELECT count(*) FROM people", database=people) == [(1002,)]


def test_copy_out_counts_rows(limited, people):
    with contextlib.closing(limited.connect(database=people)) as c, c.cursor() as cursor:
        out = io.StringIO()
        with pytest.raises(psycopg2.Error) as error:
            cursor.copy_expert("COPY people TO STDOUT", out)
        assert error.value.pgcode == "54000"
        assert len(out.getvalue().splitlines()) == 100
        cursor.execute("SELECT 1")


def test_protected_columns_are_masked_and_findings_overwritten(masked, people):
    with contextlib.closing(masked.connect(database=people)) as c, c.cursor() as cursor:
        cursor.execute("SELECT id, ssn, note FROM people WHERE id < 3 ORDER BY id")
        assert cursor.fetchall() == [(1, "***", {"mail": "*" * 14}), (2, "***", {"mail": "*" * 14})]
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT id, ssn FROM people WHERE id < 3) TO STDOUT CSV HEADER", out)
        assert out.getvalue() == "id,ssn\n1,***\n2,***\n"
        out = io.BytesIO()
        cursor.copy_expert("COPY (SELECT id, ssn FROM people WHERE id < 3) TO STDOUT (FORMAT binary)",
                           out)
        assert b"078-05" not in out.getvalue() and out.getvalue().count(b"***") == 2
        error = refused(cursor, "SELECT ssn, (name || 'x')::int FROM people", "22P02")
        assert "details withheld" in error and "name " not in error


def test_protected_columns_by_the_extended_protocol_without_describe(masked, people):
    client = pgraw.RawClient(masked.port, "test", masked.token(), database=people,
                             timeout=machine.PATIENCE)
    client.send(pgraw.parse("", "SELECT ssn FROM people WHERE id = 1") + pgraw.bind("", "") +
                pgraw.execute("") + pgraw.message(b"S"))
    answer = list(client.until_ready())
    client.close()
    assert [kind for kind, _ in answer] == [b"1", b"2", b"D", b"C", b"Z"]
    assert b"***" in answer[2][1] and b"078" not in answer[2][1]


def test_a_read_only_session_is_so_at_the_target_too(gateway, people):
    g = gateway({"policies": [{"name": "look", "allow": ["read", "session"],
                               "limits": {"read_only": True}}]})
    with contextlib.closing(g.connect(database=people)) as c, c.cursor() as cursor:
        cursor.execute("SHOW default_transaction_read_only")
        assert cursor.fetchone() == ("on",)
        refused(cursor, "DELETE FROM people WHERE id = 1", "42501")
