"""The processes: none dies unnoticed, what a death costs, reload, drain, and the operator's view."""
import contextlib
import os
import re
import signal
import socket
import threading
import time

import psycopg2
import pytest
import yaml

from harness import machine
from harness.wire import Closed, Wire, query


def ends(client, timeout=machine.PATIENCE):
    """Reads to the end of a connection; the fields of its last error, {} if it had none."""
    error = {}
    try:
        while True:
            error = client.error()
    except (Closed, OSError):
        return error


def works(connection):
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    return cursor.fetchone() == (1,)


def test_each_service_is_a_process_of_its_own(story):
    pids = story.pids()
    running = [pid for pid in pids.values() if pid]  # without need for it there is no control
    assert len(set(running)) == 3
    parents = {int(re.search(r"PPid:\t(\d+)", open(f"/proc/{pid}/status").read()).group(1))
               for pid in running}
    assert parents == {story.process.pid}


def test_each_connection_is_a_sandboxed_process_of_its_own(story):
    first, second = story.connect(), story.connect()
    pids = {story.session_pid(first), story.session_pid(second)}
    assert len(pids) == 2
    for pid in pids:
        status = open(f"/proc/{pid}/status").read()
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
        assert re.search(r"^Seccomp:\t2$", status, re.M)
        assert re.search(r"^Threads:\t1$", status, re.M)
        kinds = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        # Its client, its target, the services; log, spool, and what to verify the target by.
        assert all(re.match(r"socket:|/.*/(log|ca\.crt|[0-9a-f]{16}\.spool)$", k)
                   for k in kinds), kinds
    first.close()
    second.close()


@pytest.mark.parametrize("service", ["keeper", "ledger", "listener"])
def test_a_killed_service_is_restarted_and_new_sessions_work(story, service):
    before = story.pids()
    story.kill_service(service)
    token = machine.until(lambda: _token_or_none(story), "a token after the restart")
    connection = machine.until(lambda: _connect_or_none(story, token), "a session after the restart")
    assert works(connection)
    connection.close()
    after = story.pids()
    assert {name for name in after if after[name] != before[name]} == {service}
    died = story.records(type="service_died")
    assert died[0]["service"] == service and "9" in died[0]["detail"]


def _token_or_none(gateway):
    done = gateway.cli("token", "issue", "--subject", "agent-7", "--group", "deploy-agents",
                       check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _connect_or_none(gateway, token):
    try:
        return gateway.connect(token=token)
    except psycopg2.OperationalError:
        return None


@pytest.mark.parametrize("service", ["keeper", "ledger"])
def test_live_sessions_end_with_a_clear_error_when_their_service_dies(story, service):
    with Wire(story) as client:
        assert client.login(story.token()) is None
        story.kill_service(service)
        try:
            client.send(query("SELECT 'must not run'"))
        except OSError:
            pass
        error = ends(client)
        assert error["S"] == "FATAL" and error["C"] in ("57P01", "57P02", "57P03", "58000"), error
        assert service in error["M"] or "gateway" in error["M"], error
    closed = story.records(type="session_closed")
    assert closed[0]["session"]


def test_no_command_runs_without_the_ledger(story, test_db):
    """Between the ledger's death and the session's end nothing may pass unrecorded."""
    with Wire(story) as client:
        assert client.login(story.token()) is None
        story.deaths_expected = True
        ledger = story.pids()["ledger"]
        os.kill(ledger, signal.SIGSTOP)
        try:
            client.send(query("SELECT 'while the ledger sleeps'"))
            client.read_until("Z")
        finally:
            os.kill(ledger, signal.SIGKILL)
        ends(client)
    # What the sleeping ledger had not read is taken over by the next one.
    intent = story.record(type="command_intent", statement="while the ledger sleeps")
    assert intent["verdict"] == "allow" and intent["identity"]["subject"] == "agent-7"
    assert test_db.logged("while the ledger sleeps")


def test_sessions_live_on_when_the_listener_dies(story):
    connection = story.connect()
    story.kill_service("listener")
    assert works(connection)
    assert len(story.sessions()) == 1
    connection.close()
    story.record(type="session_closed")
    machine.until(lambda: story.sessions() == [], "no sessions")


def test_a_session_that_crashes_is_reported_and_the_listener_is_executed_anew(story):
    victim, other = story.connect(), story.connect()
    listener = story.pids()["listener"]
    story.crash(story.session_pid(victim))
    died = story.wait_log(r"session_died .*signal=(\d+)")
    machine.until(lambda: story.pids()["listener"] not in (listener, None), "another listener")
    with pytest.raises(psycopg2.OperationalError):
        works(victim)
    assert works(other)
    new = story.connect()
    assert works(new)
    closed = story.record(type="session_closed")
    assert closed["reason"] == "crashed" and closed["signal"] == int(died.group(1))
    other.close()
    new.close()


def test_commands_in_flight_at_a_crash_are_known_to_be_unknown(story):
    client = Wire(story)
    assert client.login(story.token()) is None
    client.send(query("SELECT pg_sleep(30)"))
    intent = story.record(type="command_intent")
    status = story.cli("sessions", "--json").stdout
    assert intent["session"] in status
    pid = _pid_of(story, client)
    story.crash(pid)
    closed = story.record(type="session_closed")
    assert closed["session"] == intent["session"]
    assert not [r for r in story.records_now(type="command_outcome") if not r["unknown"]]
    assert "1" in re.search(r".*outcome.*", story.verify()).group()
    client.close()


def _pid_of(gateway, client):
    return gateway.session_pid(client.socket)


# --- reload --------------------------------------------------------------------------------------

def test_a_reload_holds_from_the_next_command_on(story):
    connection = story.connect()
    assert works(connection)
    story.reload({"policies": [
        {"name": "no more reading", "allow": ["session"], "who": {"groups": ["deploy-agents"]}}]})
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        connection.cursor().execute("SELECT * FROM pg_catalog.pg_class")
    connection.cursor().execute("BEGIN")
    connection.cursor().execute("COMMIT")
    connection.close()


def pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def dialling(port):
    """How many TCP connections to a local port exist or are being made."""
    with open("/proc/net/tcp") as connections:
        return sum(line.split()[2].endswith(f":{port:04X}") for line in connections)


def test_a_reload_holds_for_a_session_that_is_still_connecting(gateway, test_db):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as late:
        full = [socket.socket() for _ in range(3)]
        for each in full:
            each.setblocking(False)
            each.connect_ex(late.getsockname())
        port = late.getsockname()[1]
        before = dialling(port)
        new = gateway({"resources": {"test": {"address": f"localhost:{port}"}}})
        found = []
        agent = threading.Thread(target=lambda: found.append(new.connect(connect_timeout=30)))
        agent.start()
        machine.until(lambda: dialling(port) > before, "the keeper to dial the target")
        new.reload({"policies": [
            {"name": "only sessions", "allow": ["session"], "who": {"groups": ["deploy-agents"]}}]})
        for each in full:
            each.close()
        while agent.is_alive():
            late.settimeout(1)
            with contextlib.suppress(TimeoutError):
                near = late.accept()[0]
                far = socket.create_connection(("127.0.0.1", test_db.port))
                for ends_of in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=ends_of, daemon=True).start()
        agent.join()
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        found[0].cursor().execute("SELECT * FROM pg_catalog.pg_class")
    found[0].close()


def test_a_reload_that_takes_everything_ends_the_sessions(story):
    with Wire(story) as client:
        assert client.login(story.token()) is None
        story.reload({"policies": []})
        error = ends(client)
    assert error["S"] == "FATAL" and "policy" in error["M"]


def test_a_broken_configuration_is_refused_and_the_old_one_stays(story):
    connection = story.connect()
    text = story.config_path.read_text().replace("policies:", "polices:")
    log = story.reload(text=text, expect="reload_failed")
    line = text.splitlines().index("polices:") + 1
    assert f"bulkhead.yaml:{line}:1: error" in log and "polices" in log
    assert works(connection)
    fresh = machine.until(lambda: _connect_with_old_configuration(story), "a session")
    assert works(fresh)
    assert story.process.poll() is None
    connection.close()
    fresh.close()
    story.write_config()


def test_a_reload_changes_what_is_protected(story):
    connection = story.connect()
    story.reload({"resources": {"test": {
        "protect": [{"columns": ["public.customers.ssn", '"Customer Notes"."SSN Copy"']},
                    {"columns": ["*.details"], "paths": ["card.number"], "mask": {"partial": 4}}],
        "detect": ["email", {"name": "ticket", "pattern": "TKT-[0-9]{6}"}]}}})
    assert works(connection)
    fresh = story.connect()
    assert works(fresh)
    story.reload({"resources": {"test": {"protect": [], "detect": []}}}, expect="reload_failed")
    assert works(connection) and works(fresh)
    connection.close()
    fresh.close()
    story.write_config({"resources": {"test": {"protect": None, "detect": None}}})


def test_a_reload_with_a_wrong_pattern_is_refused_where_it_stands(story):
    wrong = yaml.safe_load(story.config_path.read_text())
    wrong["resources"]["test"]["protect"] = [{"columns": ["public.customers.ssn", "a.b.c.d"]}]
    text = yaml.safe_dump(wrong, sort_keys=False)
    line = next(n for n, line in enumerate(text.splitlines(), 1) if "a.b.c.d" in line)
    column = text.splitlines()[line - 1].index("a.b.c.d") + 1
    log = story.reload(text=text, expect="reload_failed")
    assert f"bulkhead.yaml:{line}:{column}: error: 'a.b.c.d' has more than 3 parts" in log
    connection = machine.until(lambda: _connect_with_old_configuration(story), "a session")
    assert works(connection)
    connection.close()
    story.write_config()


def test_a_reload_without_a_usable_mask_key_is_refused(story, tmp_path):
    key = tmp_path / "mask.key"
    key.write_text("short\n")
    key.chmod(0o600)
    protect = {"protect": [{"columns": ["ssn"], "mask": "hash"}], "mask_key": {"file": str(key)}}
    log = story.reload({"resources": {"test": protect}}, expect="reload_failed")
    assert "mask_key of resource test has fewer than 16 bytes" in log
    key.write_text("0123456789abcdef\n")
    story.reload()
    connection = story.connect()
    assert works(connection)
    connection.close()


def _connect_with_old_configuration(gateway):
    # The command line reads the configuration too, so the token is made with a sound one.
    broken = gateway.config_path.read_text()
    gateway.write_config()
    try:
        return _connect_or_none(gateway, gateway.token())
    finally:
        gateway.config_path.write_text(broken)


def test_a_reload_can_move_the_listener(story):
    port = machine.free_port()
    story.reload({"listen": {"postgres": f"127.0.0.1:{port}"}})
    with pytest.raises(ConnectionRefusedError):
        story.socket()
    story.port = port
    connection = story.connect()
    assert works(connection)
    connection.close()


def test_a_reload_is_in_the_ledger(story):
    first = story.record(type="configuration_loaded")
    story.reload({"policies": [{"name": "other", "allow": ["read"]}]})
    second = story.records(count=2, type="configuration_loaded")[1]
    assert first["digest"] != second["digest"] and second["path"] == str(story.config_path)


# --- the end -------------------------------------------------------------------------------------

def test_drain_lets_sessions_finish(gateway):
    g = gateway({"drain": "30s"})
    connection = g.connect()
    g.process.send_signal(signal.SIGTERM)
    g.wait_log("draining")
    with pytest.raises(OSError):
        g.socket()
    assert works(connection)
    assert g.status()["state"] == "draining"
    connection.close()
    assert g.process.wait(10) == 0


def test_sessions_that_outlast_the_drain_are_told_and_ended(gateway):
    g = gateway({"drain": "1s"})
    with Wire(g) as client:
        assert client.login(g.token()) is None
        g.process.send_signal(signal.SIGTERM)
        error = ends(client)
    assert error["S"] == "FATAL" and error["C"] == "57P01"
    assert g.process.wait(10) == 0
    assert g.record(type="session_closed")["session"]


def test_a_second_sigterm_ends_it_at_once(gateway):
    g = gateway({"drain": "1h"})
    connection = g.connect()
    g.process.send_signal(signal.SIGTERM)
    g.wait_log("draining")
    begun = time.monotonic()
    g.process.send_signal(signal.SIGTERM)
    assert g.process.wait(20) == 0 and time.monotonic() - begun < 15
    connection.close()


def test_nothing_is_left_when_the_supervisor_is_killed(story):
    connection = story.connect()
    pids = [*filter(None, story.pids().values()), story.session_pid(connection)]
    story.deaths_expected = True
    story.process.kill()
    story.process.wait()
    machine.until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids),
                  "all processes to end")
    with pytest.raises(psycopg2.OperationalError):
        works(connection)


def test_the_ledger_goes_on_after_a_hard_stop(story):
    story.psql("SELECT 'before'", check=True)
    story.deaths_expected = True
    story.process.kill()
    story.process.wait()
    story.start()
    story.psql("SELECT 'after'", check=True)
    assert [r["statement"].strip(";") for r in story.records(count=2, type="command_intent")] == [
        "SELECT 'before'", "SELECT 'after'"]
    sequence = [r["seq"] for r in story.records_now()]
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))


def test_a_second_gateway_does_not_write_the_same_ledger(story, gateway):
    second = gateway({"ledger": {"directory": str(story.ledger_folder)}}, run=False)
    with pytest.raises(AssertionError, match="another process|in use|locked"):
        second.start()
    second.process = None


# --- the operator's view -------------------------------------------------------------------------

def test_status_tells_what_runs(story):
    connection = story.connect()
    status = story.status()
    assert status["state"] == "running" and status["connections"] == "1"
    assert status["configuration"] == str(story.config_path)
    assert any(str(story.port) in each for each in status["listening"])
    connection.close()


def test_status_of_a_gateway_that_does_not_run_fails(story):
    story.stop()
    done = story.cli("status", check=False)
    assert done.returncode == 1 and done.stderr


def test_sessions_lists_who_is_where(story):
    connection = story.connect()
    session, = story.sessions()
    assert session["subject"] == "agent-7" and session["resource"] == "test"
    assert session["database"] == "app" and session["source"].startswith("127.0.0.1")
    assert session["session"] == story.record(type="session_opened")["session"]
    connection.close()
    machine.until(lambda: story.sessions() == [], "the session to be gone")


def test_kill_ends_one_session_and_is_recorded(story):
    bystander = story.connect()
    with Wire(story) as client:
        first = story.sessions()[0]["session"]
        assert client.login(story.token()) is None
        victim, = (s["session"] for s in story.sessions() if s["session"] != first)
        story.cli("kill", victim)
        error = ends(client)
    assert error["S"] == "FATAL" and error["C"] == "57P01" and "operator" in error["M"]
    closed = story.record(type="session_closed")
    assert closed["session"] == victim
    act = story.records_now(type="admin_action", action="session_kill")[0]
    assert victim in str(act) and act["actor"] == f"uid:{os.geteuid()}"
    assert works(bystander)
    bystander.close()


def test_kill_of_an_unknown_session_says_so(story):
    done = story.cli("kill", "0123456789abcdef", check=False)
    assert done.returncode == 1 and "there is no session" in done.stderr


def test_the_log_holds_no_secrets(story):
    token = story.token()
    story.psql("SELECT 'a secret value'", token=token, check=True)
    story.record(type="session_closed")
    text = story.log_text()
    assert token not in text and "a secret value" not in text
    assert "the-target's-secret" not in text


def test_json_logs_are_one_object_a_line(gateway):
    import json
    g = gateway({"log": {"format": "json"}})
    g.psql("SELECT 1", check=True)
    g.stop()
    lines = g.log_text().splitlines()
    # What is said before the configuration was read is text.
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    assert {"time", "level", "process", "event"} <= set(entries[-1])
    assert len(entries) > len(lines) - 3


@pytest.mark.parametrize("reason", ["kill", "revocation", "death of the keeper"])
def test_a_session_that_does_not_obey_is_ended_by_force(story, reason):
    token = story.token()
    connection = story.connect(token=token)
    pid = story.session_pid(connection)
    os.kill(pid, signal.SIGSTOP)  # as if compromised: it does not do what it is told
    story.deaths_expected = True
    if reason == "kill":
        story.cli("kill", story.sessions()[0]["session"])
    elif reason == "revocation":
        opened = story.record(type="session_opened")
        story.cli("token", "revoke", opened["identity"]["token_id"])
    else:
        story.kill_service("keeper")
    machine.until(lambda: not os.path.exists(f"/proc/{pid}"), "the session to be gone", timeout=5)
    closed = story.record(type="session_closed")
    assert closed["reason"] == "killed" and closed["signal"] == signal.SIGKILL
    assert works(story.connect())


def test_a_directory_that_others_can_write_is_not_used(gateway):
    stopped = gateway(run=False)
    stopped.write_config()
    (stopped.folder / "state").chmod(0o777)
    done = stopped.cli("serve", check=False)
    assert done.returncode == 1 and "can be written by others" in done.stderr
