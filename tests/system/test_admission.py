"""What a client may do before it has shown a token: little, and not for long."""
import os
import signal
import socket
import struct
import time

import pytest

from harness import machine
from harness.gateway import closed_within
from harness.wire import GSS_REQUEST, SSL_REQUEST, Closed, Wire, fields, message, reset, startup


@pytest.fixture
def strict(gateway):
    """Small limits, so that they are reached soon."""
    return gateway({"limits": {"connections": 12, "unauthenticated": 8,
                               "unauthenticated_per_source": 4, "handshake_time": "2s",
                               "handshake_bytes": "20KiB"}})


def still_serves(gateway):
    connection = gateway.connect()
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    connection.close()
    return True


def first_error(data):
    assert data[:1] == b"E", data
    return fields(data[5:struct.unpack("!i", data[1:5])[0] + 1])


def from_address(gateway, address):
    """A TCP connection from another of this machine's loopback addresses."""
    s = socket.socket()
    s.settimeout(machine.PATIENCE)
    s.bind((address, 0))
    s.connect(("127.0.0.1", gateway.port))
    return s


def processes_for(gateway, n):
    machine.until(lambda: int(gateway.status()["connections"]) == n, f"{n} connections")


def test_connections_of_one_source_are_limited_until_they_are_authenticated(strict):
    waiting = [strict.socket() for _ in range(4)]
    processes_for(strict, 4)
    data, _ = closed_within(strict.socket())
    assert first_error(data)["C"] == "53300"
    other = from_address(strict, "127.0.0.2")
    other.sendall(SSL_REQUEST)
    assert other.recv(1) == b"S"
    for each in [*waiting, other]:
        each.close()
    processes_for(strict, 0)
    assert still_serves(strict)


def test_unauthenticated_connections_are_limited_in_total(strict):
    waiting = [from_address(strict, f"127.0.0.{1 + i // 4}") for i in range(8)]
    processes_for(strict, 8)
    data, _ = closed_within(from_address(strict, "127.0.0.9"))
    assert first_error(data)["C"] == "53300"
    for each in waiting:
        each.close()
    processes_for(strict, 0)


def test_authenticated_sessions_do_not_count_as_unauthenticated(strict):
    token = strict.token()
    sessions = [strict.connect(token=token) for _ in range(10)]
    assert len(strict.sessions()) == 10
    for each in sessions:
        each.close()


def test_sessions_are_limited_in_total(strict):
    token = strict.token()
    sessions = [strict.connect(token=token) for _ in range(12)]
    data, _ = closed_within(strict.socket())
    assert first_error(data)["C"] == "53300" and "too many connections" in first_error(data)["M"]
    sessions.pop().close()
    processes_for(strict, 11)
    sessions.append(strict.connect(token=token))
    for each in sessions:
        each.close()


@pytest.mark.parametrize("beginning", [
    pytest.param([], id="silent"),
    pytest.param([SSL_REQUEST[:5]], id="half-a-request"),
    pytest.param([SSL_REQUEST], id="no-hello-after-ssl-request"),
    pytest.param([SSL_REQUEST, b"\x16\x03\x01\x02\x00\x01"], id="half-a-hello"),
])
def test_a_handshake_that_does_not_go_on_ends_in_time(strict, beginning):
    with strict.socket() as client:
        for i, piece in enumerate(beginning):
            assert i == 0 or client.recv(1) == b"S"
            client.sendall(piece)
        _, seconds = closed_within(client)
    assert 1 < seconds < 8
    processes_for(strict, 0)


def test_a_client_that_never_sends_its_token_ends_in_time(strict):
    with Wire(strict) as client:
        client.tls()
        client.send(startup(user="test", database="app"))
        assert client.read()[0] == "R"
        begun = time.monotonic()
        with pytest.raises(Closed):
            while True:
                client.read()
        assert time.monotonic() - begun < 8
    assert strict.records(type="session_refused")


def test_a_slow_loris_ends_in_time_and_holds_nobody_up(strict):
    lorises = [strict.socket() for _ in range(3)]
    begun = time.monotonic()
    ended = set()
    packet = startup(user="test", database="app")
    served = False
    for i in range(len(packet)):
        for each in set(lorises) - ended:
            try:
                each.sendall(packet[i:i + 1])
            except OSError:
                ended.add(each)
        if len(ended) == 3:
            break
        if not served:
            served = still_serves(strict)
        time.sleep(0.2)  # the attack itself, not a wait
    assert served and len(ended) == 3 and time.monotonic() - begun < 10


@pytest.mark.parametrize("garbage", [
    pytest.param(struct.pack("!ii", 10001, 196608), id="startup-too-long"),
    pytest.param(struct.pack("!ii", 0x7fffffff, 196608), id="startup-of-2-GiB"),
    pytest.param(struct.pack("!ii", -5, 196608), id="negative-length"),
    pytest.param(struct.pack("!ii", 7, 196608), id="too-short"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="http"),
    pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="ssh"),
    pytest.param(b"\0" * 64, id="zeros"),
    pytest.param(b"\xff" * 64, id="ones"),
])
def test_garbage_instead_of_a_startup_is_refused(strict, garbage):
    with strict.socket() as client:
        client.sendall(garbage)
        _, seconds = closed_within(client)
    assert seconds < 8
    assert still_serves(strict)


@pytest.mark.parametrize("hello", [
    pytest.param(b"\x16\x03\x01\xff\xff" + b"\0" * 300, id="record-too-long"),
    pytest.param(b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", id="not-a-hello"),
    pytest.param(b"\x80\x2e\x01\x03\x01" + b"\0" * 41, id="sslv2"),
    pytest.param(bytes(range(256)) * 100, id="noise"),
])
def test_tls_garbage_is_refused(strict, hello):
    with strict.socket() as client:
        client.sendall(SSL_REQUEST)
        assert client.recv(1) == b"S"
        client.sendall(hello)
        _, seconds = closed_within(client)
    assert seconds < 8
    assert still_serves(strict)


def test_bytes_smuggled_behind_the_ssl_request_are_refused(strict):
    """CVE-2021-23214: cleartext bytes must not be taken for what came inside TLS."""
    with strict.socket() as client:
        client.sendall(SSL_REQUEST + startup(user="test", database="app"))
        data, _ = closed_within(client)
    assert b"AuthenticationOk" not in data and b"R\0\0\0\x08\0\0\0\0" not in data
    assert still_serves(strict)


def test_a_flood_before_authentication_is_cut_off(strict):
    with Wire(strict) as client:
        client.tls()
        client.send(startup(user="test", database="app"))
        assert client.read()[0] == "R"
        with pytest.raises((Closed, OSError)):
            client.send(b"p" + struct.pack("!i", 1 << 20))
            for _ in range(1024):
                client.send(b"x" * 1024)
            client.read_until("Z")


def test_too_many_startup_parameters_are_refused(strict):
    with Wire(strict) as client:
        client.tls()
        client.send(startup(user="test", database="app", **{f"k{i}": "v" * 20 for i in range(900)}))
        with pytest.raises((Closed, OSError)):
            client.read_until("Z")
    assert still_serves(strict)


def test_encryption_by_gss_is_answered_no_and_tls_may_follow(strict):
    with Wire(strict) as client:
        client.send(GSS_REQUEST)
        assert client.socket.recv(1) == b"N"
        assert client.login(strict.token()) is None


def test_asking_for_tls_again_and_again_is_refused(strict):
    with Wire(strict) as client:
        client.tls()
        client.send(SSL_REQUEST)
        with pytest.raises((Closed, OSError)):
            client.read_until("Z")


def test_direct_tls_works(strict):
    with Wire(strict) as client:
        client.tls(direct=True)
        client.send(startup(user="test", database="app"))
        assert client.read() == ("R", struct.pack("!i", 3))


def test_without_tls_no_token_is_asked_for(strict):
    with Wire(strict) as client:
        client.send(startup(user="test", database="app"))
        error = client.error()
    assert error["S"] == "FATAL" and "TLS" in error["M"] + error.get("H", "")


def test_cleartext_on_loopback_must_be_asked_for(gateway):
    g = gateway({"postgres": {"cleartext_on_loopback": True}})
    done = g.psql("SELECT 'in clear'", sslmode="disable")
    assert "in clear" in done.stdout, done.stderr


@pytest.mark.parametrize("version", [131072, 196608 + 9999, 0x00040000, 0x04d20000])
def test_unknown_protocol_versions_are_refused_or_negotiated(strict, version):
    with Wire(strict) as client:
        client.tls()
        client.send(startup(version, user="test", database="app"))
        try:
            kind, body = client.read()
        except Closed:
            kind, body = "closed", b""
    if version >> 16 == 3:
        assert kind == "v"  # NegotiateProtocolVersion
    else:
        assert kind == "closed" or (kind == "E" and fields(body)["S"] == "FATAL")


@pytest.mark.parametrize("parameters", [
    pytest.param({"database": "app"}, id="no-user"),
    pytest.param({"user": "", "database": "app"}, id="empty-user"),
    pytest.param({"user": "x" * 5000, "database": "app"}, id="long-user"),
    pytest.param({"user": "test", "database": "app", "replication": "true"}, id="replication"),
    pytest.param({"user": "test", "database": "app", "replication": "database"},
                 id="logical-replication"),
    pytest.param({"user": "../test", "database": "app"}, id="path"),
    pytest.param({"user": "test", "database": "d" * 64}, id="long-database"),
])
def test_startups_that_ask_for_what_is_not_there_are_refused(strict, parameters):
    with Wire(strict) as client:
        client.tls()
        client.send(startup(**parameters))
        kind, body = client.read()
        if kind == "R":
            client.send(message("p", strict.token().encode() + b"\0"))
            kind, body = client.read_until("E", "Z")[-1]
    assert kind == "E" and fields(body)["S"] == "FATAL"
    assert not strict.records_now(type="session_opened")


def test_clients_that_reset_their_connections_leave_nothing_behind(strict):
    for i in range(40):
        client = from_address(strict, f"127.0.0.{10 + i % 8}")
        client.sendall(SSL_REQUEST[:i % 9])
        reset(client)
    processes_for(strict, 0)
    assert still_serves(strict)


def test_no_end_of_a_session_is_missed_while_the_supervisor_is_held_up(gateway):
    busy = gateway()
    listener = busy.pids()["listener"]
    os.kill(busy.process.pid, signal.SIGSTOP)
    try:
        for _ in range(200):  # more than the channel between the two takes
            with busy.socket(timeout=2) as client:
                client.sendall(SSL_REQUEST)
                if client.recv(1) != b"S":
                    break  # the listener waits, too
    except TimeoutError:
        pass
    finally:
        os.kill(busy.process.pid, signal.SIGCONT)
    processes_for(busy, 0)
    assert busy.pids()["listener"] == listener
    assert still_serves(busy)
