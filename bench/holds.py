"""What waiting for a human costs: memory of a held command, and how long a decision takes to let
it go."""
import http.client
import json
import ssl
import time

import measure
from client import Client

HELD_SECONDS_MAX = 120
LATENCIES = 100


class People:
    """The console's API on one connection that stays, as a browser has it."""

    def __init__(self, path):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.connection = http.client.HTTPSConnection("127.0.0.1", path.console_port,
                                                      context=context, timeout=60)
        self.headers = {"Authorization": "Bearer " + path.approver,
                        "Content-Type": "application/json"}

    def call(self, method, target, body=None):
        self.connection.request(method, target, None if body is None else json.dumps(body),
                                self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {target}: {answer.status} {text[:500]}")
        return json.loads(text) if text else None

    def pending(self):
        """Ids of the pending requests, by the text of their commands."""
        found, after = {}, ""
        while True:
            page = self.call("GET", "/v1/approvals?state=pending&limit=200" + after)
            found |= {r["command"]["text"]: r["id"] for r in page["items"]}
            if not page.get("next"):
                return found
            after = "&before=" + page["next"]


class Holds:
    """`path` leads to a resource on which DDL needs a human."""

    def __init__(self, path, count, tls):
        self.path, self.count, self.tls = path, count, tls

    def _statement(self, i):
        return f"alter table held add column c{i} int"

    def _held(self, people):
        deadline = time.monotonic() + HELD_SECONDS_MAX
        while len(found := people.pending()) < self.count:
            if time.monotonic() > deadline:
                raise SystemExit(f"only {len(found)} of {self.count} commands are held")
            time.sleep(0.2)
        return found

    def measure(self):
        """(KiB of all our processes per session, KiB more per held command, and the milliseconds
        from a decision's request to the statement's answer, sorted)."""
        path = self.path
        people = People(path)
        owner = Client(path.direct_port, path.database, path.database)
        owner.query("create table held (id int)")
        empty = measure.share_kib(path.pid)
        clients = [Client(path.port, path.user, path.database, path.password, self.tls)
                   for _ in range(self.count)]
        for client in clients:
            client.query("select 1")
        idle = measure.share_kib(path.pid)
        for i, client in enumerate(clients):
            client.send(self._statement(i))
        requests = self._held(people)
        held = measure.share_kib(path.pid)
        took = []
        for i in range(min(LATENCIES, self.count)):
            begun = time.monotonic()
            people.call("POST", f"/v1/approvals/{requests[self._statement(i)]}/approve", {})
            clients[i].drain()
            took.append((time.monotonic() - begun) * 1e3)
        for client in clients:
            client.close()
        owner.query("drop table held")
        owner.close()
        return (idle - empty) / self.count, (held - idle) / self.count, sorted(took)
