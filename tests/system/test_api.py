"""The API of the console: who may what on every route, what every answer carries, how people log
in, and what becomes of requests that are not well meant. Each answer is held against the OpenAPI
document by the client (harness/api.py)."""
import contextlib
import itertools
import json
import re
import socket
import ssl
import statistics
import time
import urllib.parse

import psycopg2
import pytest
import requests

from harness import api, machine
from harness import gateway as gateways
from harness.api import Api, Browser
from harness.people import Person
from harness.postgres import PASSWORD

READERS = {"name": "everyone reads and writes", "allow": ["read", "write", "session"]}
STEP_UP = {"name": "schema changes need a human", "commands": ["ddl"],
           "step_up": {"approvers": {"groups": ["dba"]}}}
NO_REQUEST, NO_SESSION, NO_GRANT = "a" * 16, "0123456789abcdef", "a" * 16

# Rates count for an address too, so each client comes from one of its own.
_sources = (f"127.0.{a}.{b}" for a, b in itertools.product(range(1, 200), range(1, 250)))


@pytest.fixture(scope="module")
def served(authority, test_db):
    """One gateway with a console, for tests that leave nothing behind."""
    started = gateways.Gateway(
        authority, {"resources": {"test": gateways.resource(test_db, authority)},
                    "policies": [READERS, STEP_UP]}, {"TARGET_PASSWORD": PASSWORD}, console=True)
    started.start().wait_log(r"\bstarted service=control")
    yield started
    started.finish()


def bearer(gateway, subject="ada", groups=(), **options):
    return Api(gateway, gateway.token(subject, groups=groups, **options), next(_sources))


def browser(gateway, subject="ada", groups=()):
    client = Browser(gateway, source=next(_sources))
    client.login(gateway.token(subject, groups=groups))
    return client


def anonymous(gateway):
    return Api(gateway, source=next(_sources))


# --- who may what ------------------------------------------------------------------------------------

def routes():
    """(method, path, role, delegates) of the document; a unit test holds it against the table."""
    for path, item in api.document()["paths"].items():
        for method, operation in item.items():
            yield (method.upper(), path, operation["x-bulkhead-role"],
                   operation.get("x-bulkhead-delegates", False))


GRANTED = {"any": {"any"}, "approver": {"any"}, "delegate": {"any"}, "viewer": {"any", "viewer"},
           "auditor": {"any", "viewer", "auditor"}, "admin": {"any", "viewer", "admin"},
           "anonymous": set()}
GROUPS = {"viewer": ["viewers"], "auditor": ["auditors"], "admin": ["admins"], "approver": ["dba"]}


def filled(path):
    """The path with parameters of things that do not exist."""
    name = NO_SESSION if "/sessions/" in path else "1" if "/ledger/" in path else NO_REQUEST
    return path.replace("{id}", name).replace("{rest}", "none.js")


def make(gateway, who, how):
    if who == "anonymous":
        return anonymous(gateway)
    if how == "cookie":
        return browser(gateway, f"{who}-c", GROUPS.get(who, ()))
    return bearer(gateway, f"{who}-b", GROUPS.get(who, ()),
                  **({"actors": ["robot"]} if who == "delegate" else {}))


def ask(client, method, path):
    """Status and detail of the answer; of a stream only its beginning."""
    answer = client.raw(method, filled(path), {} if method == "POST" else None, stream=True) \
        if "slack" not in path else client.raw(method, path, data="payload=x")
    with contextlib.closing(answer):
        if answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            return answer.status_code, ""
        return answer.status_code, answer.text


@pytest.mark.parametrize("who,how", [
    ("anonymous", "nothing"), ("delegate", "bearer"),
    *itertools.product(("any", "approver", "viewer", "auditor", "admin"), ("bearer", "cookie"))])
def test_each_route_takes_whom_it_should_and_nobody_else(served, who, how):
    client = make(served, who, how)
    # The login ends with its own route.
    for method, path, role, delegates in sorted(routes(), key=lambda r: r[1] == "/v1/logout"):
        status, text = ask(client, method, path)
        label = f"{who} by {how}: {method} {path}: {status} {text[:300]}"
        if role == "public":
            assert status != 401 or "slack" in path or path == "/v1/login", label
            assert not re.search(r"is no (viewer|auditor|admin)", text), label
        elif who == "anonymous":
            assert status == 401 and "nobody is logged in" in text, label
        elif who == "delegate" and not delegates:
            assert status == 403 and "this token acts for" in text, label
        elif role not in GRANTED[who]:
            assert status == 403 and f"is no {role}" in text, label
        else:
            assert status not in (401, 403, 405, 415, 429), label
            assert status in (200, 204, 302, 304, 400, 404, 501), label


def test_what_changes_others_is_for_admins_and_what_anybody_may_is_little():
    by_role = {role: {(m, p) for m, p, r, _ in routes() if r == role}
               for role in ("public", "any", "viewer", "auditor", "admin")}
    assert by_role["admin"] == {("POST", "/v1/sessions/{id}/kill"),
                                ("POST", "/v1/sessions/{id}/legal-hold")}
    assert {p for m, p in by_role["public"] if p.startswith("/v1/")} == \
        {"/v1/login", "/v1/slack/actions", "/v1/openapi.json"}
    assert all(m == "GET" or p.startswith("/v1/policies/") for m, p in by_role["viewer"])
    # A token that acts for somebody asks and looks; it decides nothing.
    assert {p for m, p, _, d in routes() if d and m == "POST"} == \
        {"/v1/access", "/v1/approvals/{id}/withdraw"}


def test_a_document_is_served_as_it_is_in_the_source(served):
    assert anonymous(served).get("/v1/openapi.json") == api.document()


# --- CSRF ----------------------------------------------------------------------------------------------

def test_a_cookie_alone_changes_nothing(served):
    for wrong in (lambda t: None, lambda t: "", lambda t: t[:-1], lambda t: t + "x", str.swapcase):
        client = browser(served, "csrf", ["admins", "auditors"])
        right = client.session.headers.pop("X-CSRF-Token")
        for method, path, role, _ in routes():
            if method == "GET" or role == "public":
                continue
            token = wrong(right)
            headers = {} if token is None else {"X-CSRF-Token": token}
            answer = client.raw(method, filled(path), {}, headers=headers)
            if answer.status_code != 429:  # so many at once are too often
                assert answer.status_code == 403 and "X-CSRF-Token" in answer.text, (path, token)
    assert client.get("/v1/me")["subject"] == "csrf"  # and is still logged in
    client = browser(served, "csrf-2")
    right = client.session.headers.pop("X-CSRF-Token")
    assert client.status("POST", "/v1/logout", {}) == 403
    client.session.headers["X-CSRF-Token"] = right
    assert client.status("POST", "/v1/logout", {}) == 204


def test_a_page_elsewhere_changes_nothing_even_with_the_token(served):
    client = browser(served, "origin")
    for origin in ("https://evil.example", "null", served.console_url.replace("https", "http"),
                   served.console_url + ".evil.example"):
        answer = client.raw("POST", "/v1/logout", {}, headers={"Origin": origin})
        assert answer.status_code == 403 and "elsewhere" in answer.text, origin
    # Nor does it log a browser in as somebody else.
    answer = anonymous(served).raw("POST", "/v1/login", {"token": "x"},
                                   headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    own = client.raw("POST", "/v1/logout", {}, headers={"Origin": served.console_url})
    assert own.status_code == 204


def test_a_bearer_token_needs_no_csrf_token_and_beats_a_cookie(served):
    client = browser(served, "cookie")
    client.session.headers["Authorization"] = f"Bearer {served.token('bearer')}"
    assert client.get("/v1/me")["subject"] == "bearer"
    client.session.headers["Authorization"] = "Bearer nonsense"
    assert client.status("GET", "/v1/me") == 401  # no falling back
    client.session.headers["Authorization"] = "Basic YTpi"
    assert client.status("GET", "/v1/me") == 401


# --- what every answer carries ----------------------------------------------------------------------------

@pytest.mark.parametrize("method,path,status", [
    ("GET", "/", 200), ("GET", "/approvals/x", 200), ("GET", "/assets/none.js", 404),
    ("GET", "/healthz", 200), ("GET", "/v1/openapi.json", 200), ("GET", "/v1/me", 401),
    ("GET", "/v1/none", 404), ("PUT", "/v1/me", 405), ("POST", "/v1/login", 400),
    ("GET", "/login", 501), ("GET", "/v1/me?" + "a" * 9000, 414)])
def test_every_answer_has_the_security_headers(served, method, path, status):
    answer = requests.request(
        method, served.console_url + path, verify=str(served.authority.ca), timeout=machine.PATIENCE,
        allow_redirects=False, json={} if method == "POST" else None)
    assert answer.status_code == status, answer.text
    policy = {p.split()[0]: p.split()[1:] for p in answer.headers["Content-Security-Policy"].split(";") if p.strip()}
    assert policy["default-src"] in (["'none'"], ["'self'"])
    assert policy["script-src"] == ["'self'"]  # no inline script, no eval
    assert policy["frame-ancestors"] == ["'none'"] and policy["base-uri"] == ["'none'"]
    assert "'unsafe-inline'" not in policy.get("style-src", [])
    assert "max-age=" in answer.headers["Strict-Transport-Security"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in answer.headers
    if path.startswith("/v1/"):
        assert answer.headers["Cache-Control"] == "no-store"
    if status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == status and problem["detail"] and problem["title"]
        assert set(problem) == {"type", "title", "status", "detail"}


def test_no_other_origin_is_let_in_by_cors(served):
    answer = requests.options(served.console_url + "/v1/me", verify=str(served.authority.ca),
                              headers={"Origin": "https://evil.example",
                                       "Access-Control-Request-Method": "GET"}, timeout=machine.PATIENCE)
    assert answer.status_code == 405
    assert not [h for h in answer.headers if h.lower().startswith("access-control")]


def test_errors_say_what_is_wrong_and_what_is_allowed(served):
    client = bearer(served, "err", ["auditors"])

    def problem(method, path, body=None, **options):
        answer = client.raw(method, path, body, **options)
        assert answer.status_code >= 400, answer.text
        return answer.status_code, answer.json()["detail"]
    assert problem("GET", "/v1/approvals?state=odd") == (400, "state is one of pending, decided, all")
    assert problem("GET", "/v1/approvals?limit=201") == (400, "limit must be a whole number from 0 to 200")
    assert problem("GET", "/v1/approvals?limit=-1")[0] == 400
    assert problem("GET", "/v1/approvals?before=1.2")[0] == 400
    assert problem("GET", "/v1/ledger?nope=1") == (400, 'there is no parameter "nope" here')
    assert problem("GET", "/v1/ledger?from=yesterday")[0] == 400
    assert problem("GET", "/v1/ledger/999999999")[0] == 404
    assert problem("GET", f"/v1/approvals/{NO_REQUEST}") == \
        (404, f"there is no request {NO_REQUEST} for you to see")
    assert "console.roles.admin" in problem("POST", f"/v1/sessions/{NO_SESSION}/kill", {"reason": "x"})[1]
    assert problem("POST", "/v1/access", {"resource": "test"})[0] == 400
    assert problem("POST", "/v1/access", {"resource": "none", "seconds": 60, "reason": "x"})[0] == 404
    assert problem("POST", "/v1/access", {"resource": 7, "seconds": 60, "reason": "x"}) == \
        (400, '"resource" must be a string')
    assert problem("POST", "/v1/access", {"resource": "test", "seconds": -1, "reason": "x"})[0] == 400
    assert problem("POST", "/v1/policies/dry-run", {"policies": "- name: [", "days": 1})[0] == 400
    assert problem("POST", "/v1/policies/dry-run", {"policies": "[]", "days": 0})[0] == 400


# --- what rules and pages say ---------------------------------------------------------------------------------

def test_pages_of_viewers_and_auditors_are_as_described(served):
    auditor = bearer(served, "auditor", ["auditors"])
    assert [r["name"] for r in auditor.get("/v1/resources")["items"]] == ["test"]
    assert [r["name"] for r in auditor.get("/v1/policies")["rules"]] == [READERS["name"], STEP_UP["name"]]
    connection = served.connect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS told_to_the_ledger")
    connection.close()
    served.record(type="command_intent", statement="SELECT 1 AS told_to_the_ledger")
    found = auditor.get("/v1/ledger?text=TOLD_to_the_ledger&type=command_intent")["items"]
    assert [r["statement"] for r in found] == ["SELECT 1 AS told_to_the_ledger"]
    assert auditor.get(f"/v1/ledger/{found[0]['seq']}") == found[0]
    lines = auditor.raw("GET", "/v1/ledger/export?text=told_to_the_ledger").text.splitlines()
    assert [json.loads(line)["seq"] for line in lines if "intent" in line] == [found[0]["seq"]]
    assert auditor.post("/v1/ledger/verify")["ok"] is True
    assert auditor.get("/v1/overview?days=1")["nodes"]
    sessions = machine.until(
        lambda: auditor.get("/v1/sessions?state=closed")["items"], "the session in the index")
    assert auditor.get(f"/v1/sessions/{sessions[0]['id']}")["subject"] == "agent-7"
    said = auditor.post("/v1/policies/explain", {"subject": "x", "resource": "test", "sql": "DROP TABLE t"})
    assert (said["verdict"], said["rule"]) == ("step_up", STEP_UP["name"])
    trial = auditor.post("/v1/policies/dry-run", {
        "policies": '- name: none\n  commands: [read]\n  deny: "no"\n', "days": 1})
    assert trial["changed_total"] >= 1


# --- logging in --------------------------------------------------------------------------------------------

def cookie_flags(answer, name="__Host-bulkhead"):
    for header in answer.raw.headers.getlist("Set-Cookie"):
        first, *flags = [part.strip() for part in header.split(";")]
        if first.startswith(name + "="):
            return first.partition("=")[2], {f.partition("=")[0].lower(): f.partition("=")[2] for f in flags}
    return None, {}


def test_a_login_link_serves_once_and_its_cookie_is_kept_close(served):
    token, client = served.token("linda", groups=["viewers"]), Browser(served, source=next(_sources))
    answer = client.raw("POST", "/v1/login", {"token": token})
    assert answer.status_code == 200
    value, flags = cookie_flags(answer)
    assert len(value) >= 43 and token not in value  # 256 bits
    assert {"secure", "httponly", "path", "samesite", "max-age"} == set(flags)
    assert (flags["path"], flags["samesite"]) == ("/", "Strict")
    assert 0 < int(flags["max-age"]) <= 900  # no longer than the token
    assert client.get("/v1/me")["roles"] == ["viewer"]
    again = Browser(served, source=next(_sources)).raw("POST", "/v1/login", {"token": token})
    assert again.status_code == 401 and "serves once" in again.text
    # The token itself is still one.
    assert Api(served, token, next(_sources)).get("/v1/me")["subject"] == "linda"
    assert served.records(type="admin_action", action="console_login")


def test_a_logout_ends_the_login_and_its_streams(served):
    client = browser(served, "leaving")
    with client.session.get(served.console_url + "/v1/events", stream=True,
                            timeout=machine.PATIENCE) as stream:
        value = client.session.cookies.get("__Host-bulkhead")
        answer = client.raw("POST", "/v1/logout", {})
        assert answer.status_code == 204 and cookie_flags(answer)[1]["max-age"] == "0"
        for _ in stream.iter_content(1):
            pass  # until its end
    stolen = anonymous(served)
    stolen.session.headers["Cookie"] = f"__Host-bulkhead={value}"
    assert stolen.status("GET", "/v1/me") == 401


def test_who_acts_for_another_does_not_log_in(served):
    answer = anonymous(served).raw("POST", "/v1/login", {"token": served.token("ada", actors=["robot"])})
    assert answer.status_code == 401 and "acts for ada" in answer.text


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    from harness.idp import IdentityProvider
    started = IdentityProvider(tmp_path_factory.mktemp("idp") / "idp.log")
    yield started
    started.close()


@pytest.fixture(scope="module")
def oidc(authority, test_db, provider):
    """A gateway whose people log in at the provider."""
    started = gateways.Gateway(
        authority, {"resources": {"test": gateways.resource(test_db, authority)},
                    "policies": [READERS, STEP_UP], "issuers": [provider.configuration()]},
        {"TARGET_PASSWORD": PASSWORD, "CONSOLE_SECRET": provider.secret}, console=True)
    started.config["console"]["login"] = provider.console(started.console_url)
    started.start().wait_log(r"\bstarted service=control")
    yield started
    started.finish()


class Journey:
    """A browser on its way through a login, step by step."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.client = Browser(gateway, source=next(_sources))
        self.begun = self.client.raw("GET", "/login")
        assert self.begun.status_code == 302, self.begun.text
        self.to_provider = self.begun.headers["Location"]
        self.asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.to_provider).query))

    def visit_provider(self):
        """The address that the provider sends the browser back to, as the API's path."""
        there, url = requests.Session(), self.to_provider
        while not url.startswith(self.gateway.console_url):
            answer = there.get(url, allow_redirects=False, timeout=machine.PATIENCE)
            assert answer.status_code in (302, 303), answer.text
            url = urllib.parse.urljoin(url, answer.headers["Location"])
        return url.removeprefix(self.gateway.console_url)

    def come_back(self, path):
        return self.client.raw("GET", path)


def test_people_log_in_at_the_identity_provider(oidc, provider):
    provider.account("grace", groups=["viewers", "dba"])
    journey = Journey(oidc)
    assert journey.asked["response_type"] == "code"
    assert journey.asked["code_challenge_method"] == "S256"
    assert len(journey.asked["code_challenge"]) == 43
    assert "openid" in journey.asked["scope"].split()
    assert len(journey.asked["state"]) >= 43 and len(journey.asked["nonce"]) >= 43
    value, flags = cookie_flags(journey.begun, "__Host-bulkhead-login")
    assert value and {"secure", "httponly"} <= set(flags) and flags["samesite"] == "Lax"
    back = journey.come_back(journey.visit_provider())
    assert (back.status_code, back.headers["Location"]) == (302, "/")
    assert cookie_flags(back)[1]["samesite"] == "Strict"
    assert cookie_flags(back, "__Host-bulkhead-login")[1]["max-age"] == "0"
    me = journey.client.take_csrf()
    assert (me["subject"], me["issuer"], me["name"], me["email"]) == \
        ("grace", "idp", "Grace", "grace@example.com")
    assert me["groups"] == ["viewers", "dba"] and me["roles"] == ["viewer"]
    assert oidc.records(type="admin_action", action="console_login")
    # A fresh cookie each time: nobody's cookie of before is made a login.
    assert cookie_flags(back)[0] != cookie_flags(_whole_login(oidc))[0]


def _whole_login(gateway):
    journey = Journey(gateway)
    return journey.come_back(journey.visit_provider())


def test_a_login_belongs_to_the_browser_that_began_it(oidc, provider):
    provider.account("mallory")
    journey = Journey(oidc)
    path = journey.visit_provider()
    other = Journey(oidc)  # the victim's browser, led to the attacker's answer
    answer = other.come_back(path)
    assert answer.status_code == 403 and "not begun in this browser" in answer.text
    assert not cookie_flags(answer)[0]
    assert anonymous(oidc).raw("GET", path).status_code == 403
    assert journey.come_back(path).status_code == 302
    assert journey.come_back(path).status_code == 403  # once


@pytest.mark.parametrize("change,status", [
    ({"state": "x" * 43}, 403), ({"state": None}, 403), ({"iss": "https://evil.example"}, 403),
    ({"iss": None}, 403), ({"code": "forged"}, 403), ({"code": None}, 400),
    ({"error": "access_denied"}, 403)])
def test_an_answer_of_the_provider_that_was_changed_is_refused(oidc, provider, change, status):
    provider.account("heidi")
    journey = Journey(oidc)
    path, _, query = journey.visit_provider().partition("?")
    fields = {k: v for k, v in {**dict(urllib.parse.parse_qsl(query)), **change}.items() if v is not None}
    answer = journey.come_back(f"{path}?{urllib.parse.urlencode(fields)}")
    assert answer.status_code == status, answer.text
    assert journey.client.status("GET", "/v1/me") == 401


def test_pkce_binds_the_code_to_the_browser(oidc, provider):
    provider.account("trent")
    journey = Journey(oidc)
    path = journey.visit_provider()
    state, nonce, verifier = journey.client.session.cookies["__Host-bulkhead-login"].split(".")
    journey.client.session.cookies.clear()
    journey.client.session.headers["Cookie"] = \
        f"__Host-bulkhead-login={state}.{nonce}.{verifier[::-1]}"
    answer = journey.come_back(path)
    assert answer.status_code == 403 and "refused the login" in answer.text


def test_the_nonce_binds_the_id_token_to_the_browser(oidc, provider):
    provider.account("peggy")
    journey = Journey(oidc)
    path = journey.visit_provider()
    state, nonce, verifier = journey.client.session.cookies["__Host-bulkhead-login"].split(".")
    journey.client.session.cookies.clear()
    journey.client.session.headers["Cookie"] = \
        f"__Host-bulkhead-login={state}.{nonce[::-1]}.{verifier}"
    answer = journey.come_back(path)
    assert answer.status_code == 403 and "nonce" in answer.text


# --- sessions -----------------------------------------------------------------------------------------------

def test_an_admin_ends_a_live_session_and_says_why(served):
    admin = bearer(served, "boss", ["admins"])
    connection = served.connect()
    mine = served.sessions()[0]["session"]
    machine.until(lambda: mine in [s["id"] for s in admin.get("/v1/sessions")["items"]], "it is listed")
    assert bearer(served, "aud", ["auditors"]).status(
        "POST", f"/v1/sessions/{mine}/kill", {"reason": "x"}) == 403
    assert admin.status("POST", f"/v1/sessions/{mine}/kill", {}) == 400
    with contextlib.closing(admin.events()) as events:
        stream = iter(events)
        assert admin.status("POST", f"/v1/sessions/{mine}/kill", {"reason": "runaway agent"}) == 204
        assert next(d for n, d in stream if n == "session" and d["id"] == mine)["state"] == "ended"
    with pytest.raises(psycopg2.Error), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert "runaway agent" in served.record(type="admin_action", action="session_killed")["detail"]
    assert admin.status("POST", f"/v1/sessions/{mine}/kill", {"reason": "again"}) == 404
    machine.until(lambda: admin.get(f"/v1/sessions/{mine}")["state"] == "closed", "its end in the index")


# --- approvals -------------------------------------------------------------------------------------------------

class Held:
    """DDL that waits, by an asynchronous connection: its end is seen when it comes."""

    def __init__(self, gateway, name):
        self.connection = gateway.connect(async_=1, autocommit=False)
        self._wait()
        self.cursor = self.connection.cursor()
        self.cursor.execute(f"CREATE TABLE {name} (a int)")

    def _wait(self, timeout=machine.PATIENCE):
        import select
        deadline = time.monotonic() + timeout
        while (state := self.connection.poll()) != psycopg2.extensions.POLL_OK:
            read = [self.connection] if state == psycopg2.extensions.POLL_READ else []
            write = [] if read else [self.connection]
            assert time.monotonic() < deadline, "still waiting"
            select.select(read, write, [], 1)

    def end(self):
        self._wait()


def test_a_decision_reaches_the_held_session_at_once(served, test_db):
    approver, took = Person(served, "dora"), []
    for i in range(5):
        held = Held(served, f"pg_temp.speed_{i}")
        request = approver.request()
        begun = time.monotonic()
        assert approver.approve(request["id"])["state"] == "approved"
        held.end()
        took.append(time.monotonic() - begun)
        held.connection.close()
    assert statistics.median(took) < 0.05 * machine.PATIENCE / 30, took


def test_an_answer_takes_milliseconds(served):
    client, took = bearer(served, "fast"), []
    for _ in range(40):
        begun = time.monotonic()
        client.get("/v1/me")
        took.append(time.monotonic() - begun)
    assert statistics.median(took) < 0.02, took


def test_events_tell_of_requests_and_decisions(served):
    approver = Person(served, "erin")
    with contextlib.closing(approver.api.events()) as events:
        stream = iter(events)
        held = Held(served, "pg_temp.told")
        name, told = next(e for e in stream if e[0] == "approval")
        request = approver.request()
        assert told == {"id": request["id"], "state": "pending"}
        approver.deny(request["id"])
        assert next(d for n, d in stream if n == "approval" and d["state"] != "pending") == \
            {"id": request["id"], "state": "denied"}
        with pytest.raises(psycopg2.Error):
            held.end()
    assert approver.decide(request["id"], "approve", expect=409)["detail"]


def test_events_and_exports_come_in_milliseconds(served):
    auditor, took = bearer(served, "quick-a", ["auditors"]), []
    with contextlib.closing(auditor.events()) as events:
        stream, opened = iter(events), []
        for _ in range(5):
            begun = time.monotonic()
            opened.append(served.connect())
            next(d for n, d in stream if n == "session" and d["state"] == "opened")
            took.append(time.monotonic() - begun)
        for connection in opened:
            connection.close()
    for _ in range(5):
        begun = time.monotonic()
        assert auditor.raw("GET", "/v1/ledger/export?limit=1").text
        took.append(time.monotonic() - begun)
    assert statistics.median(took) < 0.3 and max(took) < 2, took


def test_requests_are_seen_by_whom_they_concern(served):
    approver, asker = Person(served, "frank"), Person(served, "agent-7", groups=["deploy-agents"])
    stranger, viewer = bearer(served, "stranger"), bearer(served, "vera", ["viewers"])
    held = Held(served, "pg_temp.seen")
    request = approver.request()
    path = f"/v1/approvals/{request['id']}"
    assert request["you"]["may_decide"] is True
    assert asker.api.get(path)["you"]["may_decide"] is False
    assert viewer.get(path)["you"]["may_decide"] is False
    assert stranger.status("GET", path) == 404
    assert request["id"] not in [r["id"] for r in stranger.get("/v1/approvals?state=all")["items"]]
    # Nobody decides who must not, by whatever role; and what one cannot see one cannot decide.
    assert asker.api.status("POST", path + "/approve", {}) == 403
    assert viewer.status("POST", path + "/approve", {}) == 403
    assert bearer(served, "boss", ["admins", "auditors"]).status("POST", path + "/approve", {}) == 403
    assert stranger.status("POST", path + "/approve", {}) == 404
    assert bearer(served, "zed", ["dba"], actors=["robot"]).status("POST", path + "/approve", {}) == 403
    assert asker.api.status("POST", path + "/override", {"reason": "x"}) == 403
    approver.deny(request["id"])
    with pytest.raises(psycopg2.Error):
        held.end()


def test_access_is_asked_for_granted_and_taken_back(gateway):
    connect = {"name": "test by request", "resources": {"names": ["test"]}, "on": "connect",
               "step_up": {"approvers": {"groups": ["dba"]}}}
    g = gateway({"policies": [READERS, connect]}, console=True)
    agent, approver, boss = bearer(g, "agent-7", ["deploy-agents"]), Person(g, "dora"), bearer(g, "boss", ["admins"])
    with pytest.raises(psycopg2.OperationalError):
        g.connect()
    body = {"resource": "test", "seconds": 3600, "reason": "look into the outage"}
    request = agent.post("/v1/access", body, expect=201)
    assert (request["kind"], request["state"], request["reason"]) == ("access", "pending", body["reason"])
    assert agent.post("/v1/access", body, expect=201)["id"] == request["id"]  # not twice
    assert agent.status("POST", f"/v1/approvals/{request['id']}/approve", {}) == 403
    approver.approve(request["id"])
    [grant] = agent.get("/v1/access")["items"]
    assert grant["live"] and grant["request"] == request["id"] and grant["by"]
    connection = g.connect()
    assert bearer(g, "stranger").get("/v1/access")["items"] == []
    assert bearer(g, "stranger").status("POST", f"/v1/access/{grant['id']}/revoke", {"reason": "x"}) == 404
    assert boss.get("/v1/access")["items"] == [grant]
    revoked = boss.post(f"/v1/access/{grant['id']}/revoke", {"reason": "outage is over"})
    assert (revoked["live"], revoked["revoked_by"]) == (False, "boss")

    def is_over():
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.Error:
            return True
        return False
    machine.until(is_over, "its session to end")
    with pytest.raises(psycopg2.OperationalError):
        g.connect()
    taken_back = agent.post("/v1/access", body, expect=201)
    assert taken_back["id"] != request["id"]
    assert agent.post(f"/v1/approvals/{taken_back['id']}/withdraw")["state"] == "withdrawn"
    assert approver.decide(taken_back["id"], "approve", expect=409)


def test_slack_is_heard_only_with_a_signature(served):
    client = anonymous(served)
    answer = client.raw("POST", "/v1/slack/actions", data={"payload": "{}"})
    assert answer.status_code in (401, 403), answer.text
    assert client.raw("POST", "/v1/slack/actions", {"payload": "{}"}).status_code == 400


# --- rates -------------------------------------------------------------------------------------------------------

def test_who_asks_too_often_is_told_when_to_come_back(served):
    client = bearer(served, "eager", ["auditors"])
    statuses = [client.raw("GET", "/v1/ledger/export?limit=1") for _ in range(24)]
    assert [a.status_code for a in statuses[:10]] == [200] * 10
    assert statuses[-1].status_code == 429 and 1 <= int(statuses[-1].headers["Retry-After"]) <= 60
    # Another person is not held up, nor is another kind of request of this one.
    assert bearer(served, "calm", ["auditors"]).status("GET", "/v1/ledger/export?limit=1") == 200
    assert client.status("GET", "/v1/me") == 200


def test_guessing_tokens_is_slow(served):
    client = anonymous(served)
    statuses = [client.status("POST", "/v1/login", {"token": f"guess-{i}"}) for i in range(25)]
    assert statuses[:20] == [401] * 20 and statuses[-1] == 429
    # Not for others, and the wait is not reset by a good one.
    assert anonymous(served).status("POST", "/v1/login", {"token": "guess"}) == 401


# --- requests that are not well meant -------------------------------------------------------------------------------

class Raw:
    """Bytes over TLS, as they are."""

    def __init__(self, gateway, source=None):
        context = ssl.create_default_context(cafile=str(gateway.authority.ca))
        plain = socket.create_connection(("127.0.0.1", gateway.console_port), machine.PATIENCE,
                                         source_address=(source or next(_sources), 0))
        self.socket = context.wrap_socket(plain, server_hostname="localhost")

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def all(self, timeout=5):
        """All that comes until the server closes, or for a while; and whether it closed."""
        got, until = b"", time.monotonic() + timeout
        try:
            while (left := until - time.monotonic()) > 0:
                self.socket.settimeout(left)
                piece = self.socket.recv(65536)
                if not piece:
                    return got, True
                got += piece
        except (TimeoutError, socket.timeout):
            return got, False
        except (ConnectionError, ssl.SSLError):
            return got, True
        return got, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def statuses(data):
    return [int(s) for s in re.findall(rb"HTTP/1\.[01] (\d{3})", data)]


def is_well(gateway):
    return anonymous(gateway).get("/healthz")["status"] == "ok"


INNER = "GET /v1/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = "POST /v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("shape", [
    f"Content-Length: 2\r\nContent-Length: {2 + len(INNER)}\r\n\r\n{{}}{INNER}",
    f"Content-Length: {2 + len(INNER)}\r\nContent-Length: 2\r\n\r\n{{}}{INNER}",
    f"Content-Length: 2, {2 + len(INNER)}\r\n\r\n{{}}{INNER}",
    f"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{INNER}",
    f"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{INNER}",
    f"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{INNER}",
    f"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{INNER}",
    f"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{INNER}",
    f"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{INNER}",
    f"Content-Length: +2\r\n\r\n{{}}{INNER}",
    f"Content-Length: -1\r\n\r\n{{}}{INNER}",
    f"Content-Length: 0x2\r\n\r\n{{}}{INNER}",
    f"Content-Length: 18446744073709551618\r\n\r\n{{}}{INNER}",
    f"Content-Length : 2\r\n\r\n{{}}{INNER}",
    f" Content-Length: 2\r\n\r\n{{}}{INNER}",
    f"X: a\r\n\tb\r\nContent-Length: 2\r\nHost: other\r\n\r\n{{}}{INNER}",
    f"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n{INNER}",
    f"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{INNER}",
    f"Transfer-Encoding: chunked\r\n\r\n-1\r\n{INNER}",
])
def test_a_request_whose_end_is_in_doubt_ends_the_connection(served, shape):
    with Raw(served) as raw:
        got, closed = raw.send(POST + shape).all(3)
    # What would be a second request is never one. (The HTTP library may say its own refusal twice.)
    assert b"smuggled" not in got and (closed or not got), got[:2000]
    assert len(set(statuses(got))) <= 1 and all(400 <= s < 500 for s in statuses(got)), got[:500]
    assert is_well(served)


@pytest.mark.parametrize("path,allowed", [
    ("/v1/../v1/me", {400}), ("/v1/./me", {400}), ("//v1/me", {400}), ("/v1//me", {400}),
    ("/v1/me/", {400}), ("/v1/%6d%65", {400}), ("/v1/me%00", {400}), ("/v1/me%2f", {400}),
    ("/assets/../../etc/passwd", {400}), ("/assets/%2e%2e/passwd", {400}), ("/assets/..", {400}),
    ("/assets//etc/passwd", {400}), ("/assets/..%5c..%5cpasswd", {400}), ("/v1/me;a=b", {400}),
    ("http://evil.example/v1/me", {400}), ("*", {400}), ("/v1/me#x", {400}), ("/" + "a/" * 300, {400}),
    ("/v1/approvals?a=1&a=2", {400}), ("/v1/approvals?a=%00", {400}), ("/v1/approvals?a=%ff", {400}),
    ("/V1/ME", {200}),  # the console's page: not the API
    ("/v1/me?" + "&".join(f"k{i}=" for i in range(40)), {400}), ("/v1/" + "a" * 9000, {414})])
def test_odd_paths_are_refused(served, path, allowed):
    with Raw(served) as raw:
        got, _ = raw.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").all()
    assert set(statuses(got)) == allowed, got[:500]
    assert b"root:" not in got


@pytest.mark.parametrize("head,allowed", [
    ("GET /v1/me HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    ("GET /v1/me HTTP/1.1\r\n\r\n", {400}),
    ("GET /v1/me HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n", {400}),
    ("GET /v1/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", {400}),
    ("GET /v1/me HTTP/1.1\r\nHost: a\r\nX: " + "a" * 70000 + "\r\n\r\n", {400, 413, 431, None}),
    ("GET /v1/me HTTP/1.1\r\nHost: a\r\n" + "".join(f"X{i}: a\r\n" for i in range(9000)) + "\r\n",
     {400, 413, 431, None}),
    ("BREW /v1/me HTTP/1.1\r\nHost: a\r\n\r\n", {405}),
    ("GET /v1/me HTTP/9.9\r\nHost: a\r\n\r\n", {400, 505, None}),
    ("GET\r\n\r\n", {400, None}), ("\x00\x01\x02\x03\r\n\r\n", {400, 404, 405, None}),
    ("\x16\x03\x01\x02\x00\x01\x00\x01", {400, None}),
    ("GET /v1/me HTTP/1.1\r\nHost: a\r\nX\x00Y: b\r\n\r\n", {400, None}),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505, None}),
    ("CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", {400, 404, 405}),
    ("TRACE /v1/me HTTP/1.1\r\nHost: a\r\n\r\n", {405}),
])
def test_odd_heads_are_refused(served, head, allowed):
    with Raw(served) as raw:
        with contextlib.suppress(OSError):
            raw.send(head)
        got, closed = raw.all(3)
    seen = statuses(got)
    assert (seen[0] if seen else None) in allowed, got[:500]
    assert all(s >= 400 for s in seen)
    assert is_well(served)


@pytest.mark.parametrize("body,status", [
    (b"{", 400), (b"[]", 400), (b"null", 400), (b'{"token":"a","token":"b"}', 400),
    (b'{"token":"\\ud800"}', 400), (b'{"token":"\xff"}', 400), (b'{"token":"a"}x', 400),
    (b'{"token":' + b"[" * 20000 + b"]" * 20000 + b"}", 400), (b'{"a":' * 2000 + b"1" + b"}" * 2000, 400),
    (b'{"token":1e999}', 400), (b'{"token":' + b"9" * 400 + b"}", 400), (b'{"token":"\\u0000"}', 400),
    (b'{"token":""}', 400), (b'{"token":"' + b"a" * 17000 + b'"}', 400), (b" " * 65536, 400),
    (b'{"token":"' + b"a" * 70000 + b'"}', 413), (b"\x1f\x8b\x08\x00", 400)])
def test_bodies_that_are_not_what_they_should_be_are_refused(served, body, status):
    answer = anonymous(served).raw("POST", "/v1/login", data=body,
                                   headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert is_well(served)


def test_a_body_must_be_said_to_be_json(served):
    client = anonymous(served)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        answer = client.raw("POST", "/v1/login", data=b'{"token":"x"}', headers={"Content-Type": kind})
        assert answer.status_code == 415, kind
    answer = client.raw("POST", "/v1/login", data=b'{"token":"x"}',
                        headers={"Content-Type": "Application/JSON; charset=utf-8"})
    assert answer.status_code == 401


def test_a_large_body_in_chunks_is_not_taken(served):
    with Raw(served) as raw:
        raw.send(POST + "Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(400):
                raw.send(b"1000\r\n" + b"a" * 4096 + b"\r\n")
            raw.send("0\r\n\r\n")
        got, _ = raw.all()
    assert statuses(got)[:1] in ([413], [])
    assert is_well(served)


def test_slow_clients_hold_up_nobody(served):
    source = next(_sources)
    with contextlib.ExitStack() as all_of_them:
        for i in range(40):
            raw = all_of_them.enter_context(Raw(served, source))
            raw.send(POST[:10 + i])
        took = []
        client = bearer(served, "quick")
        for _ in range(10):
            begun = time.monotonic()
            client.get("/v1/me")
            took.append(time.monotonic() - begun)
        assert statistics.median(took) < 0.1, took


def test_one_address_has_so_many_connections_and_others_still_come_in(served):
    source = next(_sources)
    with contextlib.ExitStack() as all_of_them:
        refused = 0
        for _ in range(70):
            try:
                all_of_them.enter_context(Raw(served, source))
            except (OSError, ssl.SSLError):
                refused += 1
        assert refused == 70 - 64
        assert is_well(served)


def test_requests_on_one_connection_are_answered_in_order(served):
    one = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = "GET /v1/none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with Raw(served) as raw:
        got, closed = raw.send(one * 20 + last).all()
    assert closed and statuses(got) == [200] * 20 + [404]


def test_a_request_split_at_every_byte_is_one(served):
    request = POST + "Content-Length: 13\r\nConnection: close\r\n\r\n" + '{"token":"x"}'
    with Raw(served) as raw:
        for c in request:
            raw.send(c)
        got, closed = raw.all()
    assert closed and statuses(got) == [401]


def test_http_without_tls_and_old_tls_are_refused(served):
    with socket.create_connection(("127.0.0.1", served.console_port), 5) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" not in plain.recv(1000)
    context = ssl.create_default_context(cafile=str(served.authority.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", served.console_port), 5) as plain, \
            pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain, server_hostname="localhost")
