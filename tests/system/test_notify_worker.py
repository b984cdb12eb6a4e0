"""The worker of notifications against receivers that check what they get, and fail as receivers do.
Drives the worker alone (tests/unit/notify_worker.c) on a store of its own."""
import json
import pathlib
import signal
import subprocess
import time

import pytest

from harness import machine
from harness.gateway import BULKHEAD
from harness.receivers import HttpReceiver, SmtpReceiver

WORKER = BULKHEAD.parent / "tests" / "unit" / "notify_worker"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Worker:
    """One store with its channels; a row for each request goes to every channel."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.channels, self.receivers, self.processes = [], [], []
        self.log = ""

    def add(self, name, receiver, **more):
        kind = getattr(receiver, "kind", "email")
        self.channels.append({"name": name, "kind": kind, "url": receiver.url, **more})
        self.receivers.append(receiver)
        return receiver

    def webhook(self, name="hook", **how):
        return self.add(name, HttpReceiver("webhook", SECRET, **how), secret=SECRET)

    def _start(self, *arguments):
        listed = self.folder / "channels.json"
        listed.write_text(json.dumps(self.channels))
        process = subprocess.Popen([str(WORKER), str(self.folder / "control.db"), str(listed), *arguments],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def _finish(self, process):
        out, log = process.communicate(timeout=120)
        self.log += log
        assert process.returncode == 0, log
        return out

    def put(self, n, event="approval"):
        return self._finish(self._start("put", str(n), event)).split()

    def begin(self, seconds=60):
        return self._start("run", str(seconds))

    def run(self, seconds=60):
        return json.loads(self._finish(self.begin(seconds)))

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
        for receiver in self.receivers:
            receiver.close()


@pytest.fixture
def worker(tmp_path):
    new = Worker(tmp_path)
    yield new
    new.close()
    for receiver in new.receivers:
        assert receiver.problems == []
    # What may be a secret is in no log.
    for word in (SECRET, SECRET.removeprefix("whsec_"), "hidden-path", "pass-word"):
        assert word not in new.log


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def requests_of(receiver):
    return [message["request"]["id"] for message in receiver.taken]


def test_every_kind_of_channel_gets_what_it_documents(worker, authority):
    certificate = authority.issue("relay", ["127.0.0.1"])
    hook = worker.webhook()
    slack = worker.add("chat", HttpReceiver("slack"), secret="signing")
    teams = worker.add("teams", HttpReceiver("teams", authority=certificate), ca=str(authority.ca))
    mail = worker.add("mail", SmtpReceiver(certificate, "bulkhead", "pass-word"), ca=str(authority.ca),
                      user="bulkhead", secret="pass-word", **{"from": "gw@example.com"},
                      to=["sre@example.com", "dba@example.com"])
    ids = worker.put(3)
    assert worker.run() == {"left": False, "sent": 12, "failed": 0}
    assert sorted(requests_of(hook)) == sorted(ids)
    buttons = slack.taken[0]["blocks"][-1]["elements"]
    assert [b["action_id"] for b in buttons] == ["bulkhead_approve", "bulkhead_deny", "bulkhead_open"]
    assert buttons[0]["value"] in ids
    assert len(teams.taken) == 3
    assert len(mail.taken) == 3
    message = mail.taken[0]["message"]
    assert mail.taken[0]["to"] == ["sre@example.com", "dba@example.com"]
    assert "ALTER TABLE customers ADD COLUMN a <int>" in message.get_content()
    assert message["Subject"] == "[Bulkhead] agent-a asks to run a command on analytics"


@pytest.mark.parametrize("failures", [[500, 503], ["reset", "reset"], [429], [404, 400], [302]])
def test_a_receiver_that_fails_gets_it_later(worker, failures):
    hook = worker.webhook()
    hook.plan = list(failures)
    hook.headers = {"Location": "/elsewhere"} if failures == [302] else {}
    ids = worker.put(1)
    assert worker.run() == {"left": False, "sent": 1, "failed": len(failures)}
    assert requests_of(hook) == ids


def test_retry_after_is_kept_to(worker):
    hook = worker.webhook()
    hook.plan, hook.headers = [429], {"Retry-After": "3"}
    worker.put(1)
    assert worker.run()["sent"] == 1
    (first, _), (second, _) = hook.attempts
    assert second - first >= 2.9


def test_what_was_taken_but_not_answered_comes_again_under_its_id(worker):
    hook = worker.webhook()
    hook.plan = ["lost"]
    worker.put(1)
    assert worker.run()["sent"] == 1
    assert len(hook.taken) == 2
    assert hook.taken[0]["id"] == hook.taken[1]["id"]


def test_one_bad_channel_holds_up_no_other(worker):
    hanging = worker.add("hanging", HttpReceiver("slack"))
    hanging.always = "hang"
    broken = worker.add("broken", HttpReceiver("teams"))
    broken.always = 500
    good = worker.webhook("good")
    ids = worker.put(60)
    begun = time.monotonic()
    process = worker.begin(60)
    wait_for(lambda: len(good.taken) == 60, 30)
    assert time.monotonic() - begun < 14  # not even one transfer of the hanging one
    assert sorted(requests_of(good)) == sorted(ids)
    process.kill()
    # A broken receiver is left alone between attempts, however much waits for it.
    assert len(broken.attempts) < 15
    assert len(hanging.attempts) <= 2


def test_a_killed_worker_loses_nothing(worker):
    hook = worker.webhook()
    ids = worker.put(40)
    hook.always = 500
    process = worker.begin()
    wait_for(lambda: len(hook.attempts) > 0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    hook.always = 200
    process = worker.begin()
    wait_for(lambda: len(hook.taken) >= 5)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # What it had taken out of the outbox comes back when its lease ends, a minute later.
    result = worker.run(180)
    assert not result["left"]
    assert set(requests_of(hook)) == set(ids)
    messages = {}
    for message in hook.taken:
        messages.setdefault(message["request"]["id"], set()).add(message["id"])
    assert all(len(of_one) == 1 for of_one in messages.values())


def test_a_certificate_of_nobody_we_trust_gets_nothing(worker, authority):
    stranger = machine.short_folder("bh-other-")
    other = type(authority)(stranger, "Other CA").issue("relay", ["127.0.0.1"])
    hook = worker.webhook(authority=other)
    worker.channels[0]["ca"] = str(authority.ca)
    wrong_name = worker.webhook("name", authority=authority.issue("name", ["other.example"]))
    worker.channels[1]["ca"] = str(authority.ca)
    worker.put(1)
    result = worker.run(4)
    assert result["left"] and result["sent"] == 0 and result["failed"] >= 2
    assert hook.taken == [] and wrong_name.taken == []


def test_a_relay_without_tls_gets_no_password(worker, authority):
    mail = worker.add("mail", SmtpReceiver(None, "bulkhead", "pass-word"), ca=str(authority.ca),
                      user="bulkhead", secret="pass-word", **{"from": "gw@example.com"},
                      to=["sre@example.com"])
    worker.put(1)
    assert worker.run(4)["sent"] == 0
    assert mail.taken == []


@pytest.mark.parametrize("failures", [[451], [554], ["reset"]])
def test_a_relay_that_fails_gets_it_later(worker, failures):
    mail = worker.add("mail", SmtpReceiver(), **{"from": "gw@example.com"}, to=["sre@example.com"])
    mail.plan = list(failures)
    worker.put(1, "break-glass")
    assert worker.run()["sent"] == 1
    assert len(mail.taken) == 1
    assert mail.taken[0]["message"]["Subject"].startswith("[Bulkhead] BREAK-GLASS")
