"""The story that Bulkhead exists for: an agent migrates the test database, is refused production
and DROP DATABASE, and the operator reads and verifies the record of every command."""
import time
from datetime import datetime

import psycopg2
import pytest

from harness.wire import Wire, query

MIGRATION = """\
BEGIN;
CREATE TABLE public.customers (id bigint PRIMARY KEY, name text NOT NULL, email text);
CREATE INDEX customers_name ON public.customers (name);
INSERT INTO public.customers VALUES (1, 'Ada', 'ada@example.com'), (2, 'Grace', NULL);
COMMIT;
ALTER TABLE public.customers ADD COLUMN plan text NOT NULL DEFAULT 'free';
COPY public.customers FROM STDIN WITH (FORMAT csv);
3,Edsger,e@example.com,paid
\\.
UPDATE public.customers SET plan = 'paid' WHERE id = 1;
"""


def test_an_agent_migrates_the_test_database_with_stock_psql(story, test_db, database):
    done = story.psql(stdin=MIGRATION, database=database)
    assert done.returncode == 0, done.stderr
    assert test_db.sql("SELECT name, plan FROM public.customers ORDER BY id", database=database) == [
        ("Ada", "paid"), ("Grace", "free"), ("Edsger", "paid")]
    table = story.psql("SELECT count(*) FROM public.customers", database=database, check=True)
    assert "(1 row)" in table.stdout


def test_every_command_of_a_migration_is_in_the_ledger(story, test_db, database):
    story.psql(stdin=MIGRATION, database=database, check=True)
    closed = story.record(type="session_closed")
    opened = story.record(type="session_opened")
    intents = story.records_now(type="command_intent")
    statements = [r["statement"].rstrip("; \n") for r in intents]
    assert statements == [
        "BEGIN",
        "CREATE TABLE public.customers (id bigint PRIMARY KEY, name text NOT NULL, email text)",
        "CREATE INDEX customers_name ON public.customers (name)",
        "INSERT INTO public.customers VALUES (1, 'Ada', 'ada@example.com'), (2, 'Grace', NULL)",
        "COMMIT",
        "ALTER TABLE public.customers ADD COLUMN plan text NOT NULL DEFAULT 'free'",
        "COPY public.customers FROM STDIN WITH (FORMAT csv)",
        "UPDATE public.customers SET plan = 'paid' WHERE id = 1",
    ]
    assert opened["identity"]["subject"] == "agent-7"
    assert opened["identity"]["issuer"] == "local"
    assert opened["resource"] == "test" and opened["database"] == database
    assert opened["target"] == f"{test_db.host}:{test_db.port}"
    assert closed["session"] == opened["session"]
    assert closed["commands"] == len(intents) and closed["denied"] == 0
    for intent in intents:
        assert intent["session"] == opened["session"]
        assert intent["identity"]["subject"] == "agent-7"
        assert intent["verdict"] == "allow" and intent["rule"] == "migrations"
    outcomes = {r["command"]: r for r in story.records_now(type="command_outcome")}
    assert sorted(outcomes) == [r["command"] for r in intents]
    assert [outcomes[r["command"]]["rows"] for r in intents] == [0, 0, 0, 2, 0, 0, 1, 1]
    assert not any(r["error"] for r in outcomes.values())
    facts = {(f["effect"], f["kind"], f.get("schema"), f.get("name"))
             for f in intents[3]["facts"]}
    assert ("write", "relation", "public", "customers") in facts


def test_production_is_refused(story, production_db):
    done = story.psql("SELECT 1", resource="production")
    assert done.returncode != 0
    assert 'no rule lets agent-7 use resource "production"' in done.stderr
    refused = story.record(type="session_refused")
    assert refused["resource"] == "production" and refused["claimed_subject"] == "agent-7"
    assert not story.records_now(type="session_opened")


def test_drop_database_is_refused_and_the_session_goes_on(story, test_db, database):
    connection = story.connect(database=database)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE public.t (a int)")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege) as refusal:
        cursor.execute(f'DROP DATABASE "{database}"')
    diag = refusal.value.diag
    assert diag.sqlstate == "42501" and diag.severity == "ERROR"
    assert diag.message_primary == "dropping a database is never done by an agent"
    assert "never" in diag.message_detail and "drop-database" in diag.message_detail
    assert database in diag.message_detail
    assert "drop-database" in diag.message_hint
    cursor.execute("SELECT count(*) FROM public.t")
    assert cursor.fetchone() == (0,)
    connection.close()
    assert not test_db.logged(f'DROP DATABASE "{database}"')
    denied = story.record(type="command_intent", verdict="deny")
    assert denied["rule"] == "never" and denied["statement"] == f'DROP DATABASE "{database}"'
    assert denied["decisive"] is not None
    assert not story.records_now(type="command_outcome", command=denied["command"])


def test_a_refusal_within_a_transaction_fails_the_transaction(story, database):
    connection = story.connect(database=database, autocommit=False)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE public.t (a int)")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute("DROP DATABASE other")
    status = connection.info.transaction_status
    assert status in (psycopg2.extensions.TRANSACTION_STATUS_INERROR,
                      psycopg2.extensions.TRANSACTION_STATUS_INTRANS)
    connection.rollback()
    cursor.execute("SELECT to_regclass('public.t')")
    assert cursor.fetchone() == (None,)
    connection.close()


def test_a_string_of_statements_is_decided_before_any_of_them_runs(story, test_db, database):
    done = story.psql("CREATE TABLE public.first (a int); DROP DATABASE other", database=database)
    assert "42501" in done.stderr
    assert test_db.sql("SELECT to_regclass('public.first')", database=database) == [(None,)]


def test_what_an_agent_may_not_do_says_what_it_may(story):
    connection = story.connect(token=story.token(groups=["readers"]))
    with pytest.raises(psycopg2.errors.InsufficientPrivilege) as refusal:
        connection.cursor().execute("CREATE TABLE public.t (a int)")
    assert "read" in refusal.value.diag.message_hint
    connection.close()


def test_the_operator_lists_and_shows_what_happened(story, database):
    story.psql("SELECT 1", "SELECT 2", database=database, check=True)
    story.psql("DROP DATABASE x", database=database)
    story.records(count=2, type="session_closed")
    listing = story.cli("audit", "list").stdout
    assert "SELECT 1" in listing and "DROP DATABASE x" in listing and "agent-7" in listing
    denied = story.cli("audit", "list", "--verdict", "deny").stdout
    assert "DROP DATABASE x" in denied and "SELECT 1" not in denied
    session = story.records_now(type="session_opened")[0]["session"]
    shown = story.cli("audit", "show", session).stdout
    assert "SELECT 2" in shown and "DROP DATABASE x" not in shown


def test_a_changed_ledger_does_not_verify(story, database, tmp_path):
    story.psql("SELECT 'the truth'", database=database, check=True)
    story.record(type="session_closed")
    story.verify()
    copied = tmp_path / "ledger"
    copied.mkdir()
    for path in story.ledger_folder.glob("*.jsonl"):
        text = path.read_text()
        (copied / path.name).write_text(text.replace("the truth", "a fable"))
    done = story.cli("audit", "verify", "--directory", copied, check=False)
    assert done.returncode == 1
    assert "line" in done.stderr + done.stdout or ":" in done.stderr + done.stdout


def test_a_token_for_one_resource_opens_no_other(story):
    token = story.token(resources=["production"])
    done = story.psql("SELECT 1", token=token)
    assert done.returncode != 0 and 'this token is not for resource "test"' in done.stderr


def test_an_unknown_resource_is_refused(story):
    done = story.psql("SELECT 1", resource="nowhere")
    assert done.returncode != 0 and "nowhere" in done.stderr
    assert story.record(type="session_refused")["resource"] == "nowhere"


def test_revoking_a_token_ends_its_sessions(story):
    with Wire(story) as client:
        assert client.login(story.token()) is None
        token_id = story.record(type="session_opened")["identity"]["token_id"]
        begun = time.monotonic()
        story.cli("token", "revoke", token_id)
        error = client.error()
        assert time.monotonic() - begun < 2
    assert error["S"] == "FATAL" and "revoked" in error["M"]
    assert story.record(type="session_closed")["session"]
    acts = [r["action"] for r in story.records_now(type="admin_action")]
    assert acts == ["token_issue", "token_revoke"]


def test_a_revoked_token_opens_no_session(story):
    token = story.token()
    story.connect(token=token).close()
    token_id = story.record(type="session_opened")["identity"]["token_id"]
    story.cli("token", "revoke", token_id)
    with Wire(story) as client:
        assert "revoked" in client.login(token)["M"]


def test_an_expired_token_ends_its_sessions(story):
    with Wire(story) as client:
        assert client.login(story.token(ttl="3s")) is None
        client.send(query("SELECT 1"))
        client.read_until("Z")
        error = client.error()
    assert error["S"] == "FATAL" and "expired" in error["M"]
    expires = story.records_now(type="session_opened")[0]["expires"]
    closed = story.record(type="session_closed")["time"]
    late = datetime.fromisoformat(closed) - datetime.fromisoformat(expires)
    assert late.total_seconds() < 2


def test_explain_says_what_the_gateway_does(story, tmp_path):
    claims = tmp_path / "claims.json"
    claims.write_text('{"iss": "urn:bulkhead:local", "sub": "agent-7", "groups": ["deploy-agents"]}')
    done = story.cli("explain", "--as", claims, "--resource", "test", "--sql", "DROP DATABASE app",
                     check=False)
    assert "deny" in done.stdout and "never" in done.stdout
