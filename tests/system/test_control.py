"""The control process: started when it is needed, missed only by what needs it."""
import contextlib
import os
import re
import signal
import sqlite3
import threading

import psycopg2
import pytest

from harness import machine

READERS = {"name": "everyone reads and writes", "allow": ["read", "write", "session"]}
STEP_UP = {"name": "schema changes need a human", "commands": ["ddl"],
           "step_up": {"approvers": {"groups": ["dba"]}}}
CONNECT = {"name": "test by request", "resources": {"names": ["test"]}, "on": "connect",
           "step_up": {"approvers": {"groups": ["dba"]}}}


def control_pid(gateway):
    """The pid of control, None while it does not run."""
    found = re.search(r"pid (\d+)", gateway.status()["control"])
    return int(found.group(1)) if found else None


def with_console(*rules, **changes):
    """A configuration with these rules, and the console that approvals need."""
    port = machine.free_port()
    return {"policies": [READERS, *rules], "listen": {"console": f"127.0.0.1:{port}"},
            "console": {"url": f"https://localhost:{port}"}, **changes}


@pytest.fixture
def controlled(gateway):
    """A gateway with these rules, and control running."""
    def start(*rules, **changes):
        started = gateway(with_console(*rules, **changes))
        started.wait_log(r"\bstarted service=control")
        return started
    return start


def kill_control(gateway, how=signal.SIGKILL):
    """Kills control and waits until another runs in its place."""
    gateway.deaths_expected = True
    old, seen = control_pid(gateway), len(gateway.log_text())
    os.kill(old, how)
    gateway.wait_log(r"\bdied service=control", after=seen)
    gateway.wait_log(r"\bstarted service=control", after=seen)
    return old


def has_live(gateway, session):
    """Whether the store's index says that the session is open."""
    path = gateway.folder / "state" / "control" / "control.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
        return db.execute("SELECT closed_us FROM sessions WHERE session = ?",
                          (session,)).fetchall() == [(0,)]


def works(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone() == (1,)


def test_control_does_not_run_without_need(story):
    assert story.status()["control"] == "not needed"


def test_a_rule_that_steps_up_needs_control_and_it_is_confined(controlled):
    gateway = controlled(STEP_UP)
    pid = control_pid(gateway)
    status = open(f"/proc/{pid}/status").read()
    assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
    assert re.search(r"^Seccomp:\t2$", status, re.M)
    assert re.search(r"^Name:\tcontrol$", status, re.M)
    # It knows nothing of the target's credential, although that is in the gateway's environment.
    environment = open(f"/proc/{pid}/environ", "rb").read()
    assert b"TARGET_PASSWORD" not in environment
    folder = gateway.folder / "state" / "control"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "control.db").stat().st_mode & 0o777 == 0o600


def test_sessions_go_on_when_control_dies_and_it_learns_of_them_again(controlled):
    gateway = controlled(STEP_UP)
    connection = gateway.connect()
    assert works(connection)
    session = gateway.sessions()[0]["session"]
    machine.until(lambda: has_live(gateway, session), "the session in the index")
    kill_control(gateway)
    assert works(connection)
    machine.until(lambda: has_live(gateway, session), "the session in the index again")
    connection.close()
    machine.until(lambda: not has_live(gateway, session), "the session's end in the index")
    assert gateway.records(type="service_died")[0]["service"] == "control"


def test_a_new_session_needs_no_control_unless_a_rule_says_so(controlled):
    gateway = controlled(STEP_UP)
    token = gateway.token()
    gateway.deaths_expected = True
    os.kill(control_pid(gateway), signal.SIGSTOP)
    try:
        connection = gateway.connect(token=token)
        assert works(connection)
        connection.close()
    finally:
        os.kill(control_pid(gateway), signal.SIGCONT)


def test_a_connect_rule_refuses_without_a_grant_and_says_how_to_get_one(controlled):
    gateway = controlled(CONNECT)
    with pytest.raises(psycopg2.OperationalError) as refused:
        gateway.connect()
    assert "bulkhead request --resource test" in str(refused.value)
    assert gateway.records(type="session_refused")
    other = gateway.connect(resource="production")
    assert works(other)
    other.close()


def test_a_connect_rule_fails_closed_without_control(controlled):
    gateway = controlled(CONNECT)
    pid, token = control_pid(gateway), gateway.token()
    gateway.deaths_expected = True
    os.kill(pid, signal.SIGSTOP)  # it is there, and does not answer
    try:
        with pytest.raises(psycopg2.OperationalError) as refused:
            gateway.connect(token=token)
        assert "approval service is not available" in str(refused.value)
    finally:
        os.kill(pid, signal.SIGCONT)


class Waiting:
    """A statement that is under way in a thread of its own."""

    def __init__(self, connection, sql):
        self.error = None
        self._thread = threading.Thread(target=self._run, args=(connection, sql), daemon=True)
        self._thread.start()

    def _run(self, connection, sql):
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
        except psycopg2.Error as e:
            self.error = e

    def end(self):
        self._thread.join(machine.PATIENCE)
        assert not self._thread.is_alive()
        return self.error


def request_states(gateway):
    path = gateway.folder / "state" / "control" / "control.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
        return db.execute("SELECT id, state FROM requests").fetchall()


def test_control_killed_while_a_command_waits_fails_it_and_keeps_the_request(controlled):
    gateway = controlled(STEP_UP)
    connection = gateway.connect()
    waiting = Waiting(connection, "CREATE TABLE never_made (x int)")
    pending = machine.until(lambda: request_states(gateway), "the request in the store")
    assert len(pending) == 1
    kill_control(gateway)
    error = waiting.end()
    assert error is not None, "the command went through"
    assert request_states(gateway) == pending  # it can still be denied
    assert works(connection)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('never_made') IS NULL")
        assert cursor.fetchone() == (True,)
    connection.close()


def test_a_reload_starts_and_stops_control_as_it_is_needed(gateway):
    story = gateway()
    assert story.status()["control"] == "not needed"
    token = story.token()
    connection = story.connect(token=token)
    needs = with_console(STEP_UP)
    story.reload(needs)
    machine.until(lambda: control_pid(story), "control to run")
    first = control_pid(story)
    story.reload({"policies": [READERS, STEP_UP, {"name": "more", "commands": ["copy-out"],
                                                  "deny": "no"}]})
    machine.until(lambda: control_pid(story) not in (None, first), "a fresh control")
    story.reload({"policies": [READERS], "listen": {"console": None}, "console": None})
    assert story.status()["control"] == "not needed"
    assert works(connection)
    connection.close()


def test_a_store_that_cannot_be_opened_stops_nothing_else(gateway):
    story = gateway(with_console(STEP_UP, store={"sqlite": "/proc/nowhere/control.db"}))
    story.deaths_expected = True
    story.wait_log(r"service_failed.*service=control")
    connection = story.connect()
    assert works(connection)
    connection.close()


def test_a_token_shows_on_whose_behalf_it_acts(controlled):
    gateway = controlled(STEP_UP)
    token = gateway.cli("token", "issue", "--subject", "alice", "--actor", "planner",
                        "--actor", "executor", "--task", "T-7", "--group", "deploy-agents").stdout.strip()
    connection = gateway.connect(token=token)
    opened = gateway.record(type="session_opened")
    assert opened["identity"]["delegation"] == ["alice", "planner", "executor"]
    assert opened["identity"]["subject"] == "alice"
    connection.close()


def test_a_login_link_is_for_the_console_and_recorded(controlled):
    gateway = controlled(STEP_UP, console={"url": "https://gw.example.com:9443"})
    link = gateway.cli("login-link", "--subject", "olga", "--group", "dba").stdout.strip()
    url, _, token = link.partition("#")
    assert url == "https://gw.example.com:9443/login/token" and token.count(".") == 2
    assert gateway.record(type="admin_action", action="login_link")["detail"].count("olga") == 1
    # It is accepted once, wherever that is.
    assert works(gateway.connect(token=token))
    with pytest.raises(psycopg2.OperationalError, match="used before"):
        gateway.connect(token=token)
    refused = gateway.cli("login-link", "--config", gateway.config_path, "extra", check=False)
    assert refused.returncode == 2


def test_a_login_link_needs_a_console(story):
    refused = story.cli("login-link", check=False)
    assert refused.returncode == 1 and "console" in refused.stderr
