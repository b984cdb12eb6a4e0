"""The way to the target: how the gateway logs in, whom it trusts, and what it says when it cannot."""
import re

import psycopg2
import pytest

import fakepg
from harness import gateway as gateways
from harness import machine
from harness.pki import Authority
from harness.postgres import PASSWORD
from harness.wire import Closed, Wire, query
from shared_gateway import shared_gateway


def resources_of(target, authority):
    """A resource for each way to log in, by name."""
    def by_tls(user, **more):
        return gateways.resource(target, authority, user=user, **more)

    def by_socket(user, **more):
        return by_tls(user, address=str(target.socket), tls=None, ca=None, **more)

    no_password = {"credential": {"user": "app_trust", "password": None}}
    return {
        "scram": by_tls("app_scram"), "md5": by_tls("app_md5"), "password": by_tls("app_password"),
        "certificate": by_tls("app_cert"), "trust": by_tls("app_trust", **no_password),
        "scram-in-clear": by_tls("app_scram", tls="off", ca=None),
        "md5-in-clear": by_tls("app_md5", tls="off", ca=None),
        "password-in-clear": by_tls("app_password", tls="off", ca=None),
        "password-unverified": by_tls("app_password", tls="require", ca=None),
        "scram-unverified": by_tls("app_scram", tls="require", ca=None),
        "scram-by-authority": by_tls("app_scram", tls="verify-ca"),
        "scram-by-socket": by_socket("app_scram"), "md5-by-socket": by_socket("app_md5"),
        "trust-by-socket": by_socket("app_trust", **no_password),
        "password-by-socket": by_socket("app_password"),
        "wrong-password": by_tls("app_scram", credential={"password": {"env": "WRONG_PASSWORD"}}),
        "wrong-md5": by_tls("app_md5", credential={"password": {"env": "WRONG_PASSWORD"}}),
        "no-password": by_tls("app_scram", credential={"password": None}),
        "no-such-role": by_tls("nobody_of_that_name"),
    }


@pytest.fixture(scope="module")
def gateway(authority, test_db):
    with shared_gateway(authority, resources_of(test_db, authority),
                        environment={"WRONG_PASSWORD": "not-the-password"}) as gateway:
        yield gateway


WAYS = {
    "scram": ("scram-sha-256", True), "md5": ("md5", True), "password": ("password", True),
    "certificate": ("cert", True), "trust": ("trust", True), "scram-in-clear": ("scram-sha-256", False),
    "md5-in-clear": ("md5", False), "scram-unverified": ("scram-sha-256", True),
    "scram-by-authority": ("scram-sha-256", True), "scram-by-socket": ("scram-sha-256", False),
    "md5-by-socket": ("md5", False), "password-by-socket": ("password", False), "trust-by-socket": ("trust", False),
}


@pytest.mark.parametrize("name", WAYS)
def test_the_gateway_logs_in(gateway, test_db, name):
    method, encrypted = WAYS[name]
    user = gateway.config["resources"][name]["credential"]["user"]
    before = len(test_db.log.read_text(errors="replace"))
    connection = gateway.connect(name)
    cursor = connection.cursor()
    cursor.execute("SELECT session_user, (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())")
    assert cursor.fetchone() == (user, encrypted)
    connection.close()
    log = test_db.log.read_text(errors="replace")[before:]
    if method != "trust":
        assert re.search(rf"connection authenticated: .*method={method} ", log)


def refusal(gateway, name):
    with pytest.raises(psycopg2.OperationalError) as error:
        gateway.connect(name)
    text = str(error.value)
    assert PASSWORD not in text and "not-the-password" not in text
    return text


@pytest.mark.parametrize("name", ["password-in-clear", "password-unverified"])
def test_a_password_is_not_shown_to_a_target_that_is_not_verified(gateway, name):
    text = refusal(gateway, name)
    assert "clear" in text or "TLS" in text
    closed = gateway.records(type="session_closed", resource=name)[0]
    assert closed["said"] != "ok" and closed["commands"] == 0


@pytest.mark.parametrize("name", ["wrong-password", "wrong-md5", "no-such-role"])
def test_a_refused_login_says_whose_matter_it_is_without_the_credential(gateway, name):
    text = refusal(gateway, name)
    assert "the operator has to look at the resource's credential" in text
    assert "app_scram" not in text and "app_md5" not in text and "nobody_of_that_name" not in text


def test_a_missing_password_is_a_clear_error(gateway):
    assert "password" in refusal(gateway, "no-password")


def test_a_missing_database_is_the_clients_own_error(gateway):
    with pytest.raises(psycopg2.OperationalError) as error:
        gateway.connect("scram", database="nowhere")
    assert 'database "nowhere" does not exist' in str(error.value)


def test_scram_is_bound_to_the_targets_certificate_where_it_can_be(authority, test_db):
    chosen = []

    def story(peer):
        peer.tls(*certificate)
        peer.packet()
        peer.send(fakepg.message(b"R", b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"))
        chosen.append(peer.message()[1])
    certificate = authority.issue("plus", ["localhost"])
    with fakepg.FakePostgres(story) as target, \
            shared_gateway(authority, {"plus": gateways.resource(target, authority)}) as gateway:
        refusal(gateway, "plus")
        assert chosen[0].startswith(b"SCRAM-SHA-256-PLUS\0") and b"p=tls-server-end-point,," in chosen[0]


def test_a_target_that_does_not_prove_itself_is_not_used(authority):
    """It accepts any proof, as an impostor would that does not know the password."""
    def story(peer):
        peer.tls(*certificate)
        peer.packet()
        peer.send(fakepg.message(b"R", b"\0\0\0\x0aSCRAM-SHA-256\0\0"))
        first = peer.message()[1]
        nonce = first[first.index(b"r=") + 2:]
        peer.send(fakepg.message(b"R", b"\0\0\0\x0br=" + nonce + b"abc,s=c2FsdHNhbHRzYWx0,i=4096"))
        peer.message()
        peer.send(fakepg.WELCOME if skip else
                  fakepg.message(b"R", b"\0\0\0\x0cv=" + b"A" * 43 + b"=") + fakepg.WELCOME)
        peer.message()
    certificate = authority.issue("impostor", ["localhost"])
    with fakepg.FakePostgres(story) as target, \
            shared_gateway(authority, {"impostor": gateways.resource(target, authority)}) as gateway:
        for skip in (False, True):
            assert "cannot log in to the target" in refusal(gateway, "impostor")


CERTIFICATES = ["right", "another host's", "another authority's", "expired"]
ACCEPTED = {"verify-full": {"right"}, "verify-ca": {"right", "another host's"}, "require": set(CERTIFICATES)}


@pytest.fixture(scope="module")
def tls_targets(authority, test_db, tmp_path_factory):
    """A TLS front of the real server for each certificate, and a gateway to all in all modes."""
    other = Authority(tmp_path_factory.mktemp("other-ca"), "Another CA")
    certificates = {
        "right": authority.issue("front", ["localhost"]),
        "another host's": authority.issue("other-host", ["db.example.com"]),
        "another authority's": other.issue("front", ["localhost"]),
        "expired": authority.issue("expired", ["localhost"], days=-1),
    }

    def front(certificate):
        def story(peer):
            peer.tls(*certificate)
            fakepg.pipe_to(peer, "127.0.0.1", test_db.port)
        return fakepg.FakePostgres(story)
    fronts = {name: front(certificate) for name, certificate in certificates.items()}
    resources = {
        f"{mode} {name}".replace("'", "").replace(" ", "-"):
            gateways.resource(target, authority, tls=mode, user="app_trust",
                              credential={"password": None}, **({"ca": None} if mode == "require" else {}))
        for mode in ACCEPTED for name, target in fronts.items()}
    with shared_gateway(authority, resources) as gateway:
        yield gateway
    for each in fronts.values():
        each.close()


@pytest.mark.parametrize("mode", ACCEPTED)
@pytest.mark.parametrize("certificate", CERTIFICATES)
def test_a_targets_certificate_is_judged_by_the_mode(tls_targets, mode, certificate):
    name = f"{mode} {certificate}".replace("'", "").replace(" ", "-")
    if certificate in ACCEPTED[mode]:
        connection = tls_targets.connect(name)
        connection.cursor().execute("SELECT 1")
        connection.close()
    else:
        text = refusal(tls_targets, name)
        assert "certificate" in text


def test_a_target_without_tls_is_refused_where_tls_is_required(authority):
    def story(peer):
        peer.packet()
        peer.send(b"N")
        peer.packet()
        raise AssertionError("a start-up in clear")
    with fakepg.FakePostgres(story) as target, \
            shared_gateway(authority, {"plain": gateways.resource(target, authority, tls="require", ca=None)}) \
            as gateway:
        assert "does not offer TLS" in refusal(gateway, "plain")
        assert not any(isinstance(e, AssertionError) for e in target.errors)


def test_bytes_in_clear_behind_the_targets_yes_to_tls_are_not_read(authority):
    def story(peer):
        peer.packet()
        peer.send(b"S" + fakepg.WELCOME)
        peer.read_exactly(1 << 20)
    with fakepg.FakePostgres(story) as target, \
            shared_gateway(authority, {"smuggler": gateways.resource(target, authority)}) as gateway:
        refusal(gateway, "smuggler")


def played(authority, story, **changes):
    """A gateway to a server in clear that `story` plays."""
    target = fakepg.FakePostgres(story)
    resource = gateways.resource(target, authority, tls="off", ca=None, **changes)
    return target, shared_gateway(authority, {"played": resource}, {"limits": {"handshake_time": "2s"}})


def test_a_target_that_is_down_is_a_clear_error(authority, test_db):
    resource = gateways.resource(test_db, authority, address=f"localhost:{machine.free_port()}")
    with shared_gateway(authority, {"down": resource}) as gateway:
        text = refusal(gateway, "down")
        assert "target" in text and ("refused" in text or "connect" in text)
        assert gateway.process.poll() is None


STORIES = {
    "closes at once": (lambda peer: peer.packet() and None, "the target closed the connection"),
    "never answers": (lambda peer: peer.read_exactly(1 << 20), "did not answer in time"),
    "speaks HTTP": (lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20),
                    "cannot log in to the target"),
    "is full": (lambda peer: peer.packet() and peer.send(fakepg.error(
        "FATAL", "53300", "sorry, too many clients already")), "too many clients already"),
    "starts up": (lambda peer: peer.packet() and peer.send(fakepg.error(
        "FATAL", "57P03", "the database system is starting up")), "starting up"),
    "asks for Kerberos": (lambda peer: peer.packet() and peer.send(fakepg.message(b"R", b"\0\0\0\x07")) or
                          peer.read_exactly(1), "authentication method 7"),
    "sends rows before the login": (lambda peer: peer.packet() and peer.send(fakepg.message(b"D", b"\0\0")),
                                    "cannot log in to the target"),
    "claims a giant message": (lambda peer: peer.packet() and peer.send(b"R\x7f\xff\xff\xff"),
                               "cannot log in to the target"),
    "wants another encoding": (lambda peer: peer.packet() and peer.send(
        fakepg.AUTH_OK + fakepg.message(b"S", b"client_encoding\0SJIS\0") + fakepg.READY), "client_encoding"),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_target_that_fails_at_the_login_is_a_clear_error(authority, name):
    story, words = STORIES[name]
    target, running = played(authority, story)
    with target, running as gateway:
        assert words in refusal(gateway, "played")
        assert gateway.records(type="session_closed")


ROW_DESCRIPTION = fakepg.message(b"T", b"\0\x01a\0" + bytes(18))
AFTER_QUERY = {
    "closes": (b"", "the target closed the connection"),
    "closes within a row": (ROW_DESCRIPTION + b"D\0\0\1\0\0\1\0\0\0\xf0only a few", "closed the connection"),
    "closes between rows": (ROW_DESCRIPTION + fakepg.message(b"D", b"\0\1\0\0\0\1x") * 3, "closed the connection"),
    "says goodbye": (fakepg.error("FATAL", "57P01", "terminating connection due to administrator command"),
                     "terminating connection due to administrator command"),
    "sends an unknown message": (ROW_DESCRIPTION + fakepg.message(b"?", b"abc"), "broke the protocol"),
    "sends a negative length": (b"D\xff\xff\xff\xff", "broke the protocol|length"),
    "answers before it is asked": (fakepg.message(b"C", b"SELECT 1\0") + fakepg.READY * 2, "broke the protocol"),
    "begins a COPY that nobody asked for": (fakepg.message(b"G", b"\0\0\0"), "broke the protocol"),
}


@pytest.mark.parametrize("name", AFTER_QUERY)
def test_a_target_that_fails_within_a_result_ends_the_session_with_a_clear_error(authority, name):
    answer, words = AFTER_QUERY[name]

    def story(peer):
        peer.welcome()
        while peer.message()[0] != b"Q":
            pass
        peer.send(answer)
        if name in ("sends an unknown message", "sends a negative length", "answers before it is asked",
                    "begins a COPY that nobody asked for"):
            peer.read_exactly(1 << 20)
    target, running = played(authority, story)
    with target, running as gateway:
        with Wire(gateway) as client:
            assert client.login(gateway.token(), "played") is None
            client.send(query("SELECT a FROM public.t"))
            if name == "answers before it is asked":
                client.read_until("Z")
            # What the target sent stays whole messages: an error can follow them, unless one was begun.
            if name == "closes within a row":
                with pytest.raises(Closed):
                    client.read_until("E")
            else:
                error = client.error()
                assert error["S"] == "FATAL" and re.search(words, error["M"])
                with pytest.raises(Closed):
                    client.read()
        closed = gateway.record(type="session_closed")
        intent = gateway.record(type="command_intent", session=closed["session"])
        outcome = gateway.record(type="command_outcome", session=closed["session"])
        assert outcome["command"] == intent["command"]
        assert outcome["unknown"] == (name != "answers before it is asked")
