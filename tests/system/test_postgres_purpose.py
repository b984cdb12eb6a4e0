"""A purpose that the rules ask for: every way to say it, and how long it holds."""
import contextlib

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import pytest

from harness import gateway as gateways
from shared_gateway import shared_gateway

WORDS = "say which ticket this change is for"
POLICIES = [
    {"name": "read", "allow": ["read", "session"]},
    {"name": "changes have a ticket", "commands": ["ddl", "write"], "defer": WORDS},
    {"name": "never", "commands": ["drop-schema"], "deny": "schemas stay"},
]
HINT = ("say what this is for, then send it again: SET bulkhead.purpose = 'why'; or begin the "
        "statement with /* purpose: why */; or connect with options='-c bulkhead.purpose=why'")
CREATE = "CREATE TEMPORARY TABLE t (i int) ON COMMIT PRESERVE ROWS"


@pytest.fixture(scope="module")
def gateway(authority, test_db):
    with shared_gateway(authority, {"test": gateways.resource(test_db, authority)},
                        {"policies": POLICIES}) as gateway:
        yield gateway


@pytest.fixture
def connection(gateway):
    with contextlib.closing(gateway.connect()) as connection:
        yield connection


def run(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def is_asked_for(connection, sql="CREATE TEMPORARY TABLE never (i int)"):
    with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState) as refused:
        run(connection, sql)
    assert refused.value.diag.message_primary == WORDS
    return True


# --- the refusal -----------------------------------------------------------------------------------

def test_the_refusal_says_exactly_what_to_send(gateway, connection):
    with pytest.raises(psycopg2.Error) as refused:
        run(connection, "CREATE TABLE never (i int) /* the refusal */")
    diag = refused.value.diag
    assert diag.sqlstate == "55000"
    assert diag.message_primary == WORDS
    assert diag.message_detail.startswith('rule "changes have a ticket" decided on ddl, create')
    assert diag.message_hint == HINT
    record = gateway.record(type="command_intent", statement="the refusal")
    assert (record["verdict"], record["rule"]) == ("defer", "changes have a ticket")


def test_what_the_hint_says_works_in_psql(gateway):
    done = gateway.psql(CREATE)
    assert done.returncode != 0
    assert f"55000: {WORDS}" in done.stderr and f"HINT:  {HINT}" in done.stderr
    gateway.psql("SET bulkhead.purpose = 'why'", CREATE, check=True)
    gateway.psql("/* purpose: why */ " + CREATE, check=True)
    gateway.psql(CREATE, options="-c bulkhead.purpose=why", check=True)


def test_a_purpose_lifts_no_deny(connection):
    run(connection, "SET bulkhead.purpose = 'clean up'")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege) as refused:
        run(connection, "DROP SCHEMA public")
    assert refused.value.diag.message_primary == "schemas stay"


# --- the ways to say it ----------------------------------------------------------------------------

@pytest.mark.parametrize("say", [
    "SET bulkhead.purpose = 'ticket 7'",
    "SET SESSION bulkhead.purpose TO 'ticket 7'",
    "SELECT set_config('bulkhead.purpose', 'ticket 7', false)",
    "SELECT 1; SET bulkhead.purpose = 'ticket 7'",
])
def test_a_setting_holds_for_the_session(connection, say):
    assert is_asked_for(connection)
    run(connection, say)
    run(connection, CREATE)
    run(connection, "INSERT INTO t VALUES (1)")
    # The server has it as well, for its own logs and triggers.
    assert run(connection, "SHOW bulkhead.purpose") == [("ticket 7",)]


@pytest.mark.parametrize("comment", ["/* purpose: ticket 7 */ ", "-- purpose: ticket 7\n",
                                     "/* made by a tool */ /* Purpose: ticket 7 */\n"])
def test_a_comment_holds_for_its_statement_alone(connection, comment):
    run(connection, comment + CREATE)
    assert is_asked_for(connection)


def test_a_comment_inside_or_behind_a_statement_says_nothing(connection):
    assert is_asked_for(connection, "CREATE /* purpose: x */ TABLE never (i int)")
    assert is_asked_for(connection, "CREATE TABLE never (i int) -- purpose: x")


def test_the_statement_that_sets_it_may_be_in_the_same_string(connection):
    run(connection, f"SET bulkhead.purpose = 'ticket 7'; {CREATE}")


@pytest.mark.parametrize("options", ["-c bulkhead.purpose=ticket\\ 7", "--bulkhead.purpose=ticket\\ 7",
                                     "-cbulkhead.purpose=ticket\\ 7"])
def test_an_option_of_the_connection_holds_for_the_session(gateway, options):
    with contextlib.closing(gateway.connect(options=options)) as connection:
        run(connection, CREATE)
        assert run(connection, "SHOW bulkhead.purpose") == [("ticket 7",)]


def test_a_prepared_statement_is_asked_when_it_is_prepared_and_when_it_runs(connection):
    assert is_asked_for(connection, "PREPARE p AS INSERT INTO t VALUES (1)")
    run(connection, "SET bulkhead.purpose = 'ticket 7'")
    run(connection, CREATE)
    run(connection, "PREPARE p AS INSERT INTO t VALUES (1)")
    run(connection, "EXECUTE p")
    run(connection, "RESET bulkhead.purpose")
    assert is_asked_for(connection, "EXECUTE p")


def test_each_record_has_the_purpose_of_its_command(gateway, connection):
    run(connection, "SELECT 'recorded 1'")
    run(connection, "SET bulkhead.purpose = 'of the session'")
    run(connection, "SELECT 'recorded 2'")
    run(connection, "/* purpose: of its own */ SELECT 'recorded 3'")
    records = gateway.records(count=3, type="command_intent", statement="SELECT 'recorded ")
    assert [r.get("purpose") for r in records] == [None, "of the session", "of its own"]


# --- how long it holds -----------------------------------------------------------------------------

@pytest.mark.parametrize("forget", ["RESET bulkhead.purpose", "SET bulkhead.purpose TO DEFAULT",
                                    "SET bulkhead.purpose = ''", "RESET ALL", "DISCARD ALL"])
def test_it_can_be_taken_back(connection, forget):
    run(connection, "SET bulkhead.purpose = 'ticket 7'")
    run(connection, CREATE)
    run(connection, "SET bulkhead.purpose = 'ticket 7'")
    if forget == "DISCARD ALL":
        run(connection, "SELECT 1")
        with pytest.raises(psycopg2.Error):  # it drops temporary tables, which is ddl of its own
            run(connection, "DROP TABLE no_such_table")
    run(connection, forget)
    assert is_asked_for(connection)


def test_taking_it_back_leads_to_that_of_the_connection(gateway):
    with contextlib.closing(gateway.connect(options="-c bulkhead.purpose=first")) as connection:
        run(connection, "SET bulkhead.purpose = 'second'")
        run(connection, "RESET bulkhead.purpose")
        run(connection, CREATE)
        assert run(connection, "SHOW bulkhead.purpose") == [("first",)]


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_one_for_the_transaction_ends_with_it(connection, end):
    run(connection, "BEGIN")
    run(connection, "SET LOCAL bulkhead.purpose = 'ticket 7'")
    run(connection, CREATE)
    run(connection, end)
    assert is_asked_for(connection)


def test_what_was_said_stays_said_after_a_rollback(connection):
    run(connection, "BEGIN")
    run(connection, "SET bulkhead.purpose = 'ticket 7'")
    run(connection, "ROLLBACK")
    run(connection, CREATE)


def test_another_session_has_its_own(gateway, connection):
    run(connection, "SET bulkhead.purpose = 'ticket 7'")
    with contextlib.closing(gateway.connect()) as other:
        assert is_asked_for(other)


def test_in_a_pipeline_each_statement_has_what_was_said_before_it(connection):
    run(connection, f"SELECT 1; SET bulkhead.purpose = 'a'; {CREATE}; RESET bulkhead.purpose")
    assert is_asked_for(connection)


# --- what is no purpose ----------------------------------------------------------------------------

@pytest.mark.parametrize("say", [
    "SET bulkhead.purpose = E'two\\nlines'",
    "SET bulkhead.purpose = '" + "x" * 1001 + "'",
    "SELECT set_config('bulkhead.purpose', now()::text, false)",
    "/* purpose: two\nlines */ SELECT 1",
    "/* purpose: \u202etxet desrever */ SELECT 1",
])
def test_what_is_not_fit_to_be_shown_is_refused(connection, say):
    with pytest.raises(psycopg2.errors.InvalidParameterValue) as refused:
        run(connection, say)
    assert refused.value.diag.message_primary.startswith("bulkhead.purpose must be ")
    assert is_asked_for(connection)


def test_an_unfit_option_is_refused_at_the_start(gateway):
    with pytest.raises(psycopg2.OperationalError, match="bulkhead.purpose must be text"):
        gateway.connect(options="-c bulkhead.purpose=a\x07b")
