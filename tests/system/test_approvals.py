"""A human in the loop: commands that wait on the wire until somebody decides, with stock clients."""
import concurrent.futures
import re
import subprocess
import threading

import psycopg2
import pytest

from harness import machine
from harness.gateway import merged
from harness.people import Person

READERS = {"name": "everyone reads and writes", "allow": ["read", "write", "session"]}
STEP_UP = {"name": "schema changes need a human", "commands": ["ddl"],
           "step_up": {"approvers": {"groups": ["dba"]}}}


def rule(**changes):
    return {**STEP_UP, "step_up": merged(STEP_UP["step_up"], changes)}


def with_rules(*rules, **changes):
    return {"policies": [READERS, *rules], **changes}


@pytest.fixture
def guarded(gateway):
    """Starts a gateway with a console, under these rules (by default: DDL needs a human)."""
    def start(*rules, **changes):
        return gateway(with_rules(*(rules or (STEP_UP,)), **changes), console=True)
    return start


class Waiting:
    """A statement that is under way in a thread of its own, by psycopg2."""

    def __init__(self, gateway, sql, parameters=None, connection=None, **connect):
        self.connection = connection or gateway.connect(**connect)
        self.error = self.rows = None
        self._sql, self._parameters = sql, parameters
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(self._sql, self._parameters)
                self.rows = cursor.fetchall() if cursor.description else cursor.rowcount
        except psycopg2.Error as e:
            self.error = e

    def is_over(self):
        return not self._thread.is_alive()

    def end(self):
        """Waits for its end: what it gave, or its error."""
        self._thread.join(machine.PATIENCE)
        assert self.is_over(), f"still waiting: {self._sql}"
        return self.error


def columns(server, database, table="t"):
    return [name for name, in server.sql(
        f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}' "
        "ORDER BY ordinal_position", database=database)]


@pytest.fixture
def table(test_db, database):
    test_db.sql("CREATE TABLE public.t (id int PRIMARY KEY, v text);"
                "INSERT INTO public.t SELECT i, 'v' || i FROM generate_series(1, 10) i;"
                "GRANT ALL ON public.t TO public; ALTER TABLE public.t OWNER TO app_scram", database=database)
    return database


# --- one command -----------------------------------------------------------------------------------

def test_ddl_of_stock_psql_waits_with_a_notice_and_runs_once_approved(guarded, test_db, table):
    gateway = guarded()
    dba = Person(gateway, "ada")
    parameters = gateway.parameters(database=table)
    password = parameters.pop("password")
    psql = subprocess.Popen(
        ["psql", "-X", "-c", "ALTER TABLE public.t ADD COLUMN plan text",
         " ".join(f"{k}='{v}'" for k, v in parameters.items())],
        env={"PGPASSWORD": password, "PATH": "/usr/bin:/bin"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    request = dba.request()
    notice = psql.stderr.readline()
    assert notice.startswith("NOTICE:") and request["id"] in notice, notice
    while request["link"] not in notice:
        notice += psql.stderr.readline()
    assert psql.poll() is None
    assert columns(test_db, table) == ["id", "v"]
    assert request["command"]["text"] == "ALTER TABLE public.t ADD COLUMN plan text"
    assert request["rule"] == STEP_UP["name"] and request["subject"] == "agent-7"
    dba.approve(request["id"])
    out, err = psql.communicate(timeout=machine.PATIENCE)
    assert psql.returncode == 0 and "ALTER TABLE" in out, err
    assert columns(test_db, table) == ["id", "v", "plan"]


def test_the_ledger_tells_the_story_of_an_approval(guarded, table):
    gateway = guarded()
    waiting = Waiting(gateway, "ALTER TABLE public.t ADD COLUMN plan text", database=table)
    dba = Person(gateway, "ada")
    request = dba.request()["id"]
    intent = gateway.record(type="command_intent", verdict="step_up")
    assert intent["rule"] == STEP_UP["name"]
    dba.approve(request, "seen the migration plan")
    assert waiting.end() is None
    approval = gateway.record(type="approval", event="approved")
    assert "ada" in approval["actor"] and approval["request"] == request
    assert "seen the migration plan" in approval["text"]
    decision = gateway.record(type="decision")
    assert decision["command"] == intent["command"] and decision["request"] == request
    outcome = gateway.record(type="command_outcome", command=intent["command"])
    seqs = [r["seq"] for r in (intent, approval, decision, outcome)]
    assert seqs[0] < seqs[2] < seqs[3] and seqs[1] < seqs[3]


def test_a_denial_carries_the_words_of_who_denied(guarded, test_db, table):
    gateway = guarded()
    waiting = Waiting(gateway, "DROP TABLE public.t", database=table)
    dba = Person(gateway, "ada")
    dba.deny(dba.request()["id"], "not before the backup at noon")
    error = waiting.end()
    assert error.pgcode == "42501"
    assert "not before the backup at noon" in str(error) and "ada" in str(error)
    assert columns(test_db, table) == ["id", "v"]
    with waiting.connection.cursor() as cursor:  # the session goes on
        cursor.execute("SELECT count(*) FROM public.t")
        assert cursor.fetchone() == (10,)


def test_cancel_withdraws_the_request(guarded, test_db, table):
    gateway = guarded()
    waiting = Waiting(gateway, "DROP TABLE public.t", database=table)
    dba = Person(gateway, "ada")
    request = dba.request()["id"]
    waiting.connection.cancel()
    assert waiting.end().pgcode == "57014"
    machine.until(lambda: dba.state(request) == "withdrawn", "the request to be withdrawn")
    dba.approve(request, expect=409)
    assert columns(test_db, table) == ["id", "v"]


def test_a_client_that_leaves_withdraws_its_request(guarded, table):
    gateway = guarded()
    parameters = gateway.parameters(database=table)
    password = parameters.pop("password")
    psql = subprocess.Popen(["psql", "-X", "-c", "DROP TABLE public.t",
                             " ".join(f"{k}='{v}'" for k, v in parameters.items())],
                            env={"PGPASSWORD": password, "PATH": "/usr/bin:/bin"},
                            stderr=subprocess.DEVNULL)
    dba = Person(gateway, "ada")
    request = dba.request()["id"]
    psql.kill()
    psql.wait()
    machine.until(lambda: dba.state(request) == "withdrawn", "the request to be withdrawn")


def test_nobody_answering_is_a_refusal(guarded, test_db, table):
    gateway = guarded(rule(wait="1s"))
    waiting = Waiting(gateway, "DROP TABLE public.t", database=table)
    dba = Person(gateway, "ada")
    request = dba.request()["id"]
    error = waiting.end()
    assert error.pgcode == "42501" and "1 s" in str(error).replace("1s", "1 s"), error
    machine.until(lambda: dba.state(request) == "expired", "the request to expire")
    assert columns(test_db, table) == ["id", "v"]


def test_in_a_transaction_the_wait_is_shorter_and_the_state_true(guarded, test_db, table):
    gateway = guarded(rule(wait="10m", wait_in_transaction="1s"))
    connection = gateway.connect(database=table, autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE public.t SET v = 'changed' WHERE id = 1")
    error = Waiting(gateway, "DROP TABLE public.t", connection=connection).end()
    assert error.pgcode == "42501"
    assert connection.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_INERROR
    with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
        connection.cursor().execute("SELECT 1")
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute("SELECT v FROM public.t WHERE id = 1")
        assert cursor.fetchone() == ("v1",)


def test_an_approved_command_in_a_transaction_is_part_of_it(guarded, test_db, table):
    gateway = guarded()
    connection = gateway.connect(database=table, autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE public.t SET v = 'changed' WHERE id = 1")
    waiting = Waiting(gateway, "ALTER TABLE public.t ADD COLUMN plan text", connection=connection)
    dba = Person(gateway, "ada")
    request = dba.request()
    assert request["in_transaction"] is True
    dba.approve(request["id"])
    assert waiting.end() is None
    connection.rollback()
    assert columns(test_db, table) == ["id", "v"]


def test_what_needs_no_human_does_not_wait_for_others(guarded, table):
    gateway = guarded()
    waiting = Waiting(gateway, "DROP TABLE public.t", database=table)
    dba = Person(gateway, "ada")
    request = dba.request()["id"]
    assert gateway.psql("SELECT count(*) FROM public.t", database=table, check=True)
    assert not waiting.is_over()
    dba.deny(request)
    waiting.end()


# --- what approvers see ----------------------------------------------------------------------------

UPDATES = {"name": "updates need a human", "commands": ["update"],
           "step_up": {"approvers": {"groups": ["dba"]}, "preview": "estimate"}}


def test_approvers_see_the_planners_estimate_and_the_bind_values(guarded, table):
    gateway = guarded(UPDATES)
    waiting = Waiting(gateway, "UPDATE public.t SET v = %s WHERE id > %s", ("new", 3),
                      database=table)
    dba = Person(gateway, "ada")
    request = dba.request()
    assert request["preview"]["kind"] == "estimate" and request["preview"]["rows"] > 0
    assert {"effect": "write", "kind": "relation", "schema": "public", "name": "t"} in \
        request["command"]["objects"]
    dba.deny(request["id"])
    waiting.end()


def test_a_dry_run_tells_exact_rows_and_shows_protected_values_to_nobody(gateway, test_db, table):
    protected = {"resources": {"test": {"protect": [{"columns": ["public.t.v"], "mask": "redact",
                                                     "write": True}]}}}
    gw = gateway(merged(with_rules({**UPDATES, "step_up": {**UPDATES["step_up"],
                                                           "preview": "dry_run"}}), protected),
                 console=True)
    waiting = Waiting(gw, "UPDATE public.t SET v = 'seen' WHERE id > 3", database=table)
    dba = Person(gw, "ada")
    request = dba.request()
    assert request["preview"]["kind"] == "dry_run" and request["preview"]["rows"] == 7
    assert "v5" not in str(request["preview"])
    assert test_db.sql("SELECT count(*) FROM public.t WHERE v = 'seen'", database=table) == [(0,)]
    dba.approve(request["id"])
    assert waiting.end() is None and waiting.rows == 7
    assert test_db.sql("SELECT count(*) FROM public.t WHERE v = 'seen'", database=table) == [(7,)]


def test_ddl_shows_what_depends_on_it(guarded, test_db, table):
    test_db.sql("CREATE VIEW public.watching AS SELECT v FROM public.t", database=table)
    gateway = guarded()
    waiting = Waiting(gateway, "DROP TABLE public.t CASCADE", database=table)
    dba = Person(gateway, "ada")
    request = dba.request()
    assert "watching" in str(request["preview"]["objects"])
    dba.deny(request["id"])
    waiting.end()


# --- who may decide --------------------------------------------------------------------------------

def test_nobody_approves_their_own_request_by_any_route(guarded, table):
    gateway = guarded(rule(break_glass={"groups": ["dba"]}))
    chain = gateway.cli("token", "issue", "--subject", "hugo", "--actor", "planner", "--actor",
                        "executor", "--group", "dba", "--ttl", "10m").stdout.strip()
    waiting = Waiting(gateway, "DROP TABLE public.t", database=table, token=chain)
    dba = Person(gateway, "ada")
    request = dba.request()
    assert request["chain"] == ["hugo", "planner", "executor"]
    for who in (Person(gateway, "hugo", token=chain), Person(gateway, "hugo"),
                Person(gateway, "planner"), Person(gateway, "executor")):
        for how in ("approve", "override", "deny"):
            # 404: to some of them the request is not even shown.
            assert who.api.status("POST", f"/v1/approvals/{request['id']}/{how}",
                                  {"reason": "trust me"}) in (403, 404)
    admin = Person(gateway, "root", groups=["admins"])
    admin.approve(request["id"], expect=403)  # who sees everything decides nothing
    assert dba.state(request["id"]) == "pending" and not waiting.is_over()
    dba.deny(request["id"])
    waiting.end()


def test_two_approvals_are_of_two_humans(guarded, test_db, table):
    gateway = guarded(rule(approvals=2))
    waiting = Waiting(gateway, "DROP TABLE public.t", database=table)
    ada, grace = Person(gateway, "ada"), Person(gateway, "grace")
    request = ada.request()["id"]
    ada.approve(request)
    again = Person(gateway, "ada")
    again.approve(request, expect=409)
    assert not waiting.is_over() and ada.state(request) == "pending"
    grace.approve(request)
    assert waiting.end() is None
    assert columns(test_db, table) == []


def test_one_denial_ends_it(guarded, test_db, table):
    gateway = guarded(rule(approvals=2))
    waiting = Waiting(gateway, "DROP TABLE public.t", database=table)
    ada, grace = Person(gateway, "ada"), Person(gateway, "grace")
    request = ada.request()["id"]
    ada.approve(request)
    grace.deny(request, "no")
    assert waiting.end().pgcode == "42501"
    assert columns(test_db, table) == ["id", "v"]


def test_a_reason_is_asked_for_where_the_rule_says_so(guarded, table):
    gateway = guarded(rule(reason_required=True))
    waiting = Waiting(gateway, "DROP TABLE public.t", database=table)
    dba = Person(gateway, "ada")
    request = dba.request()["id"]
    dba.approve(request, expect=400)
    dba.approve(request, "ticket 4711")
    assert waiting.end() is None


def test_break_glass_needs_a_reason_and_is_marked(guarded, table):
    gateway = guarded(rule(approvals=3, break_glass={"groups": ["oncall"]}))
    waiting = Waiting(gateway, "DROP TABLE public.t", database=table)
    oncall = Person(gateway, "olga", groups=["oncall"])
    request = Person(gateway, "ada").request()["id"]
    oncall.decide(request, "override", expect=400)
    oncall.decide(request, "override", "the shop is down")
    assert waiting.end() is None
    marked = gateway.record(type="approval", event="overridden")
    assert "olga" in marked["actor"] and "the shop is down" in marked["text"]


# --- what an approval serves -----------------------------------------------------------------------

def test_an_approval_serves_one_command_once(guarded, table):
    gateway = guarded()
    sql = "COMMENT ON TABLE public.t IS 'x'"
    connection = gateway.connect(database=table)
    dba = Person(gateway, "ada")
    for _ in range(2):  # the identical command waits again
        waiting = Waiting(gateway, sql, connection=connection)
        dba.approve(dba.request()["id"])
        assert waiting.end() is None


def test_an_approval_for_the_session_serves_identical_commands_there_alone(guarded, table):
    gateway = guarded(rule(scope="for_session", valid_for="10m"))
    sql = "COMMENT ON TABLE public.t IS 'x'"
    connection = gateway.connect(database=table)
    dba = Person(gateway, "ada")
    waiting = Waiting(gateway, sql, connection=connection)
    dba.approve(dba.request()["id"])
    assert waiting.end() is None
    assert Waiting(gateway, sql, connection=connection).end() is None  # nobody was asked again
    for change in ({"database": table},                                        # another session
                   {"connection": connection, "sql": sql + " "},               # other bytes
                   {"database": table, "token": gateway.token("agent-8")}):    # another identity
        other = Waiting(gateway, **{"sql": sql, **change})
        dba.deny(dba.request()["id"])
        assert other.end().pgcode == "42501"


def test_an_approval_for_the_task_serves_its_other_sessions(guarded, table):
    gateway = guarded(rule(scope="for_task", valid_for="10m"))
    sql = "COMMENT ON TABLE public.t IS 'x'"
    token = gateway.token()
    dba = Person(gateway, "ada")
    first = Waiting(gateway, sql, database=table, token=token)
    second = Waiting(gateway, sql, database=table, token=token)  # collapses into the first
    request = dba.request()["id"]
    machine.until(lambda: len(gateway.records_now(type="command_intent", verdict="step_up")) == 2,
                  "both to wait")
    assert dba.request()["id"] == request
    dba.approve(request)
    assert first.end() is None and second.end() is None
    assert Waiting(gateway, sql, database=table, token=token).end() is None
    other = Waiting(gateway, sql, database=table)  # another token, another task
    dba.deny(dba.request()["id"])
    assert other.end().pgcode == "42501"


def test_bind_values_are_part_of_what_was_approved(gateway, table):
    gw = gateway(with_rules({**UPDATES, "step_up": {**UPDATES["step_up"], "scope": "for_session",
                                                    "valid_for": "10m"}}), console=True)
    connection = gw.connect(database=table)
    dba = Person(gw, "ada")
    waiting = Waiting(gw, "PREPARE change AS UPDATE public.t SET v = 'x' WHERE id = $1",
                      connection=connection)
    dba.approve(dba.request()["id"])
    assert waiting.end() is None
    waiting = Waiting(gw, "EXECUTE change(1)", connection=connection)
    dba.approve(dba.request()["id"])
    assert waiting.end() is None
    assert Waiting(gw, "EXECUTE change(1)", connection=connection).end() is None
    waiting = Waiting(gw, "EXECUTE change(2)", connection=connection)
    dba.deny(dba.request()["id"])
    assert waiting.end().pgcode == "42501"


# --- races and failures ----------------------------------------------------------------------------

def test_of_two_deciding_at_once_one_wins_and_the_statement_agrees(guarded, test_db, table):
    gateway = guarded()
    ada, grace = Person(gateway, "ada"), Person(gateway, "grace")
    connection = gateway.connect(database=table)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for i in range(10):
            waiting = Waiting(gateway, f"ALTER TABLE public.t ADD COLUMN c{i} text",
                              connection=connection)
            request = ada.request()["id"]
            statuses = list(pool.map(lambda f: f(), [
                lambda r=request: ada.api.status("POST", f"/v1/approvals/{r}/approve", {}),
                lambda r=request: grace.api.status("POST", f"/v1/approvals/{r}/deny",
                                                   {"reason": "no"})]))
            assert sorted(statuses) == [200, 409], statuses
            approved = statuses[0] == 200
            assert (waiting.end() is None) == approved
            assert (f"c{i}" in columns(test_db, table)) == approved


def test_approve_and_cancel_at_once_agree(guarded, test_db, table):
    gateway = guarded()
    ada = Person(gateway, "ada")
    for i in range(10):
        waiting = Waiting(gateway, f"ALTER TABLE public.t ADD COLUMN c{i} text", database=table)
        request = ada.request()["id"]
        canceller = threading.Thread(target=waiting.connection.cancel)
        canceller.start()
        ada.api.status("POST", f"/v1/approvals/{request}/approve", {})
        canceller.join()
        error = waiting.end()
        assert error is None or error.pgcode == "57014"
        # Whatever won: what the client was told is what happened.
        assert (f"c{i}" in columns(test_db, table)) == (error is None)
        waiting.connection.close()


def test_control_killed_while_waiting_fails_the_command_and_keeps_the_request(guarded, test_db, table):
    gateway = guarded()
    connection = gateway.connect(database=table)
    waiting = Waiting(gateway, "DROP TABLE public.t", connection=connection)
    dba = Person(gateway, "ada")
    request = dba.request()["id"]
    gateway.kill_service("control")
    error = waiting.end()
    assert error.pgcode == "57P03" or error.pgcode == "42501", error
    assert columns(test_db, table) == ["id", "v"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")  # the session is not touched
    dba.request(id=request)
    dba.deny(request)
    assert dba.state(request) == "denied"
    again = Waiting(gateway, "DROP TABLE public.t", connection=connection)  # a new channel
    dba.approve(dba.request()["id"])
    assert again.end() is None


def test_a_session_killed_while_it_waits_ends_at_once(guarded, table):
    gateway = guarded()
    waiting = Waiting(gateway, "DROP TABLE public.t", database=table)
    dba = Person(gateway, "ada")
    request = dba.request()
    admin = Person(gateway, "root", groups=["admins"])
    admin.api.post(f"/v1/sessions/{request['session']}/kill", {"reason": "enough"}, expect=None)
    assert isinstance(waiting.end(), psycopg2.OperationalError)
    gateway.wait_log("reason=ended by root: enough")
    machine.until(lambda: dba.state(request["id"]) == "withdrawn", "the request to be withdrawn")


def test_rules_that_deny_meanwhile_win_over_an_approval(guarded, test_db, table):
    gateway = guarded()
    waiting = Waiting(gateway, "DROP TABLE public.t", database=table)
    dba = Person(gateway, "ada")
    request = dba.request()["id"]
    gateway.reload({"policies": [READERS, STEP_UP, {"name": "freeze", "commands": ["ddl"],
                                                    "who": {"subjects": ["agent-7"]},
                                                    "deny": "no schema changes this week"}]})
    dba.api.status("POST", f"/v1/approvals/{request}/approve", {})
    assert waiting.end().pgcode == "42501"
    assert columns(test_db, table) == ["id", "v"]


def test_hundreds_may_wait(guarded, test_db, table):
    count = 60  # sessions; thousands of requests are the unit tests'
    gateway = guarded()
    waiting = [Waiting(gateway, f"ALTER TABLE public.t ADD COLUMN c{i} text", database=table)
               for i in range(count)]
    dba = Person(gateway, "ada")
    requests = dba.pending(count)
    assert len({r["id"] for r in requests}) == count
    for request in requests:
        dba.deny(request["id"])
    assert all(w.end().pgcode == "42501" for w in waiting)


# --- grants of access ------------------------------------------------------------------------------

CONNECT = {"name": "production is opened by request", "on": "connect",
           "resources": {"labels": {"env": "production"}},
           "step_up": {"approvers": {"groups": ["dba"]}}}


def test_access_is_granted_for_a_time_and_revoking_it_ends_sessions(guarded, production_db):
    gateway = guarded(CONNECT)
    refused = gateway.psql("SELECT 1", resource="production")
    assert refused.returncode != 0 and "bulkhead request" in refused.stderr, refused.stderr
    agent = Person(gateway, "agent-7", groups=["deploy-agents"])
    asked = agent.api.post("/v1/access", {"resource": "production", "seconds": 3600,
                                          "reason": "ticket 42"}, expect=None)
    dba = Person(gateway, "ada")
    agent.approve(asked["id"], expect=403)
    dba.approve(asked["id"])
    connection = gateway.connect(resource="production")
    connection.cursor().execute("SELECT 1")
    admin = Person(gateway, "root", groups=["admins"])
    grants = admin.api.get("/v1/access")["items"]
    assert [g["subject"] for g in grants] == ["agent-7"]
    admin.api.post(f"/v1/access/{grants[0]['id']}/revoke", {"reason": "done"}, expect=None)

    def ended():
        try:
            connection.cursor().execute("SELECT 1")
        except psycopg2.Error as e:
            return e
        return None
    machine.until(ended, "the session to end")
    gateway.wait_log("session_ends .*revoked")
    assert gateway.psql("SELECT 1", resource="production").returncode != 0


# --- the command line ------------------------------------------------------------------------------

def test_the_command_line_lists_shows_and_decides(guarded, table):
    gateway = guarded()
    waiting = Waiting(gateway, "DROP TABLE public.t", database=table)
    dba = Person(gateway, "ada")
    request = dba.request()["id"]

    def cli(*arguments):
        return gateway.cli("approvals", *arguments, "--ca", gateway.authority.ca,
                           token=dba.token).stdout
    assert request in cli("list")
    shown = cli("show", request)
    assert "DROP TABLE public.t" in shown and STEP_UP["name"] in shown and "agent-7" in shown
    assert re.search("approved", cli("approve", request))
    assert waiting.end() is None
