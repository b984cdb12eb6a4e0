"""Notifications from the gateway itself: a command that waits is told to every channel, by the sandboxed
control process, and none is lost with it."""
import json
import subprocess

import pytest

from harness import machine
from harness.receivers import HttpReceiver, SmtpReceiver
from test_control import READERS, STEP_UP, Waiting, kill_control, request_states, works
from test_notify_worker import WORKER

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receivers(authority):
    """One of each kind; Teams' and the relay under TLS."""
    certificate = authority.issue("receiver", ["127.0.0.1"])
    made = {"hook": HttpReceiver("webhook", SECRET), "chat": HttpReceiver("slack"),
            "teams": HttpReceiver("teams", authority=certificate),
            "mail": SmtpReceiver(certificate, "bulkhead", "pass-word")}
    yield made
    for receiver in made.values():
        receiver.close()
        assert receiver.problems == []


@pytest.fixture
def telling(gateway, receivers, authority):
    """A gateway that tells all of them."""
    port = machine.free_port()
    started = gateway({
        "policies": [READERS, STEP_UP],
        "listen": {"console": f"127.0.0.1:{port}"}, "console": {"url": f"https://localhost:{port}"},
        "notifications": [
            {"name": "hook", "webhook": {"url": receivers["hook"].url, "secret": SECRET}},
            {"name": "chat", "slack": {"url": receivers["chat"].url, "signing_secret": "signing",
                                       "users": {"U1": "carol"}}},
            {"name": "teams", "teams": {"url": receivers["teams"].url, "ca": str(authority.ca)}},
            {"name": "mail", "email": {"relay": receivers["mail"].url, "ca": str(authority.ca),
                                       "user": "bulkhead", "password": "pass-word",
                                       "from": "gw@example.com", "to": ["dba@example.com"]}}]})
    started.wait_log(r"\bstarted service=control")
    yield started
    for word in (SECRET, "hidden-path", "pass-word"):
        assert word not in started.log_text()


def put(gateway, n):
    """Puts requests into the store with a row of the outbox for each channel, as another node would."""
    listed = gateway.folder / "channels.json"
    listed.write_text(json.dumps([{"name": name, "kind": "webhook", "url": "http://127.0.0.1/"}
                                  for name in ("hook", "chat", "teams", "mail")]))
    store = gateway.folder / "state" / "control" / "control.db"
    return subprocess.run([WORKER, store, listed, "put", str(n)], check=True, text=True,
                          capture_output=True).stdout.split()


def test_what_is_in_the_outbox_is_sent_from_the_sandbox(telling, receivers):
    ids = put(telling, 5)
    for name, receiver in receivers.items():
        machine.until(lambda r=receiver: len(r.taken) == 5, f"the messages for {name}")
    assert sorted(m["request"]["id"] for m in receivers["hook"].taken) == sorted(ids)


def test_a_command_that_waits_is_told_to_every_channel(telling, receivers):
    connection = telling.connect()
    waiting = Waiting(connection, "CREATE TABLE \"never <made>\" (x int)")
    for name, receiver in receivers.items():
        machine.until(lambda r=receiver: r.taken, f"a message for {name}")
    request, _ = machine.until(lambda: request_states(telling), "the request in the store")[0]
    told = receivers["hook"].taken[0]
    assert told["event"] == "approval" and told["request"]["id"] == request
    assert told["request"]["statement"] == "CREATE TABLE \"never <made>\" (x int)"
    assert "ddl" in told["request"]["classes"]
    assert told["request"]["link"].endswith(request) or request in told["request"]["link"]
    buttons = receivers["chat"].taken[0]["blocks"][-1]["elements"]
    assert [b.get("value") for b in buttons] == [request, request, None]
    assert receivers["mail"].taken[0]["to"] == ["dba@example.com"]
    connection.cancel()
    assert waiting.end() is not None
    assert works(connection)
    connection.close()
    assert all(len(receiver.taken) == 1 for receiver in receivers.values())


def test_what_could_not_be_told_is_told_after_control_died(telling, receivers):
    receivers["hook"].always = 500
    connection = telling.connect()
    waiting = Waiting(connection, "CREATE TABLE never_made (x int)")
    machine.until(lambda: receivers["hook"].attempts, "an attempt")
    kill_control(telling)
    assert waiting.end() is not None
    receivers["hook"].always = 200
    machine.until(lambda: receivers["hook"].taken, "the message", timeout=100)
    assert receivers["hook"].taken[0]["request"]["id"] == request_states(telling)[0][0]
    connection.close()
