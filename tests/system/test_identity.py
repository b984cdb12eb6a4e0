"""Who is let in: a real OpenID Connect provider, its rotation of keys under load, and every bad
token of tokens.py through a real connection, each refused with a record and before any target."""
import base64
import contextlib
import json
import struct
import threading
import time

import psycopg2
import pytest
import yaml

import tokens
from harness import gateway as gateways
from harness import machine
from harness.sentinel import Sentinel
from harness.wire import Closed, Wire, fields, message, startup

# Here each is a whole connection; the unit tests present 10,000.
UNKNOWN_KEYS = 150


# --- a real provider -----------------------------------------------------------------------------

def with_provider(gateway, idp, **changes):
    return gateway({"local_issuer": {"enabled": False},
                    "issuers": [idp.configuration(**changes)]})


def reads(g, token):
    connection = g.connect(token=token)
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    connection.close()
    return True


def refusal(g, token, resource="test"):
    with Wire(g) as client:
        error = client.login(token, resource)
    assert error, "it was accepted"
    return error


def test_a_client_credentials_token_opens_a_session(gateway, idp):
    g = with_provider(gateway, idp)
    assert reads(g, idp.token())
    opened = g.record(type="session_opened")
    assert opened["identity"]["subject"] == "deploy-agent"
    assert opened["identity"]["issuer"] == "idp"
    assert opened["identity"]["groups"] == ["deploy-agents"]
    assert opened["identity"]["token_id"]


def test_groups_decide_what_a_token_may_do(gateway, idp):
    g = with_provider(gateway, idp)
    connection = g.connect(token=idp.token("reader-agent"))
    connection.cursor().execute("SELECT 1")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        connection.cursor().execute("CREATE TABLE public.t (a int)")
    connection.close()
    error = refusal(g, idp.token("lonely-agent"))
    assert 'no rule lets lonely-agent use resource "test"' in error["M"]


def test_the_local_issuer_is_refused_when_it_is_off(gateway, idp, story):
    token = story.token()
    g = with_provider(gateway, idp)
    refusal(g, token)
    assert g.record(type="session_refused")


def test_a_token_says_all_that_was_asked_for_or_is_not_issued(story):
    groups = [f"g{i:03}" for i in range(100)]
    payload = story.token(groups=groups).split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["groups"] == groups
    too_many = [f"--group=g{i}" for i in range(101)]
    done = story.cli("token", "issue", "--subject", "a", *too_many, check=False)
    assert done.returncode != 0 and "at most 100 groups" in done.stderr
    # Without the name that did not fit it would be a token for every resource.
    done = story.cli("token", "issue", "--subject", "a", "--resource", "r" * 9000, check=False)
    assert done.returncode != 0 and not done.stdout


def test_keys_are_fetched_once_for_many_sessions(gateway, idp):
    g = with_provider(gateway, idp)
    for _ in range(5):
        assert reads(g, idp.token())
    assert idp.counts()["keys"] <= 1 and idp.counts()["discovery"] <= 1


def test_rotation_is_followed_and_the_retired_key_refused(gateway, idp):
    g = with_provider(gateway, idp)
    old = idp.token()
    assert reads(g, old)
    idp.rotate(keep=False)
    assert reads(g, idp.token())
    refusal(g, old)


def test_rotation_under_load_refuses_nobody(gateway, idp):
    """The old key stays published; tokens of both keys keep being accepted throughout."""
    g = with_provider(gateway, idp)
    failures, done, stop = [], [0], threading.Event()

    def load():
        while not stop.is_set():
            try:
                reads(g, idp.token())
                done[0] += 1
            except Exception as e:  # whatever it is, the test must tell
                failures.append(e)
                return

    old = idp.token()
    threads = [threading.Thread(target=load) for _ in range(4)]
    for each in threads:
        each.start()
    try:
        machine.until(lambda: done[0] > 10 or failures, "load")
        idp.rotate(keep=True)
        before = done[0]
        machine.until(lambda: done[0] > before + 20 or failures, "load after the rotation")
        assert reads(g, old)
    finally:
        stop.set()
        for each in threads:
            each.join()
    assert not failures, failures[0]
    assert idp.counts()["keys"] <= 3


def test_a_provider_that_is_away_refuses_clearly_and_only_its_own_tokens(gateway, idp):
    g = gateway({"issuers": [idp.configuration()]})
    token = idp.token()
    assert reads(g, token)
    idp.close()
    assert reads(g, token)          # the last good keys are kept
    assert reads(g, g.token())      # another issuer does not notice
    idp.close = lambda: None


def test_a_slow_provider_holds_up_nobody_else(gateway, idp):
    idp.stall(3000)
    g = gateway({"issuers": [idp.configuration()]})
    token = idp.token()
    slow = threading.Thread(target=lambda: reads(g, token))
    slow.start()
    begun = time.monotonic()
    assert reads(g, g.token())
    assert time.monotonic() - begun < 2.5
    idp.stall(0)
    slow.join()


def test_the_audience_must_be_ours(gateway, idp):
    g = with_provider(gateway, idp, audience="somebody-else")
    refusal(g, idp.token())


def test_the_issuer_is_compared_byte_by_byte(gateway, idp):
    g = with_provider(gateway, idp, issuer=idp.issuer + "/", jwks_uri=idp.issuer + "/jwks")
    refusal(g, idp.token())


# --- bad tokens ----------------------------------------------------------------------------------

class Gauntlet:
    """A gateway before a target that only counts: tokens are presented, and judged by whether
    anything came through."""

    def __init__(self, authority):
        self.server = tokens.IssuerServer().start()
        self.forge = tokens.Forge(self.server, repeats=UNKNOWN_KEYS)
        self.sentinel = Sentinel()
        self.gateway = gateways.Gateway(authority, {
            "local_issuer": {"enabled": False},
            "issuers": yaml.safe_load(tokens.issuers_yaml(self.server.base_url))["issuers"],
            "resources": {"target": {
                "protocol": "postgres", "address": f"127.0.0.1:{self.sentinel.port}", "tls": "off",
                "credential": {"user": "x"}, "labels": {"env": "test"}}},
            "policies": [{"name": "agents", "who": {"groups": ["agents"]}, "allow": ["all"]}],
        }, {}).start()

    def close(self):
        try:
            self.gateway.finish()
        finally:
            self.sentinel.close()
            self.server.stop()

    def present(self, token):
        """The fields of the error that the client got ({}: only the end of the connection)."""
        with Wire(self.gateway) as client:
            client.tls()
            client.send(startup(user="target", database="app"))
            assert client.read() == ("R", struct.pack("!i", 3))
            with contextlib.suppress(OSError):  # refused while it was still being sent
                if isinstance(token, tokens.HugeToken):
                    client.send(b"p" + struct.pack("!I", 4 + len(token) + 1))
                    for chunk in token.chunks():
                        client.send(chunk)
                else:
                    client.send(message("p", token.encode("latin-1") + b"\0"))
            try:
                kind, body = client.read_until("E", "Z")[-1]
            except (Closed, OSError):
                return {}
            assert kind == "E", "it was let in"
            return fields(body)

    def judge(self, token, accepted):
        came = self.sentinel.connections
        refusals = len(self.gateway.records_now(type="session_refused"))
        error = self.present(token)
        if accepted:
            machine.until(lambda: self.sentinel.connections > came,
                          f"a connection to the target; the client was told {error}")
            return
        # The record comes before the connection's end or soon after; the target sees nothing.
        self.gateway.records(count=refusals + 1, type="session_refused", timeout=10)
        assert self.sentinel.connections == came, "a connection reached the target"
        assert not error or error["S"] == "FATAL", error


@pytest.fixture(scope="module")
def gauntlet(authority):
    g = Gauntlet(authority)
    yield g
    g.close()


@pytest.mark.parametrize("number", tokens.CASES, ids=lambda n: f"{n:02}-{tokens.CASES[n][0]}")
def test_bad_token(gauntlet, number):
    for token, accepted in tokens.CASES[number][1](gauntlet.forge):
        gauntlet.judge(token, accepted)


def test_good_tokens_of_every_issuer_are_accepted(gauntlet):
    for description, token in tokens.good_tokens(gauntlet.forge):
        try:
            gauntlet.judge(token, True)
        except AssertionError as e:
            raise AssertionError(f"{description}: {e}") from None


def test_refusals_do_not_tell_an_attacker_more_than_the_reason(gauntlet):
    error = gauntlet.present(gauntlet.forge.good(exp=1))
    assert error["S"] == "FATAL" and error["C"].startswith("28")
    assert "127.0.0.1:" + str(gauntlet.sentinel.port) not in str(error)
