"""Large, many, torn and hostile: what must be refused is, what must pass does, in bounded memory."""
import contextlib
import os
import pathlib
import random
import socket
import struct
import threading

import psycopg2
import pytest

import fakepg
import pgraw
from harness import gateway as gateways
from harness import machine
from harness.wire import Wire, fields, message, query, reset
from shared_gateway import shared_gateway

# A gibibyte, less what the message around it needs: PostgreSQL's own messages end below it.
# In a sanitized build, where memory says nothing and all is slow, less will do.
SANITIZED = "ASAN_OPTIONS" in os.environ
GIB = (1 << (27 if SANITIZED else 30)) - 4096
PIECE = GIB >> 10
SESSION_MEMORY = 1 << 40 if SANITIZED else 8 << 20


@pytest.fixture(scope="module")
def gateway(authority, test_db):
    with shared_gateway(authority, {"test": gateways.resource(test_db, authority)}) as gateway:
        gateway.shared_token = gateway.token(ttl="30m")
        yield gateway


@pytest.fixture
def client(gateway):
    client = pgraw.RawClient(gateway.port, "test", gateway.shared_token, timeout=machine.PATIENCE)
    yield client
    client.close()


def answers(client, *messages):
    """To ReadyForQuery: (letter, body) of each."""
    client.send(b"".join(messages))
    return list(client.until_ready())


def errors(answered):
    return [pgraw.error_fields(body) for kind, body in answered if kind == b"E"]


def works(client):
    return (b"D", b"\0\1\0\0\0\1" + b"7") in answers(client, pgraw.query("SELECT 7"))


# --- the start -----------------------------------------------------------------------------------

def test_an_application_name_of_any_length_connects_and_is_cut_for_the_record(gateway):
    name = "é" * 300
    with contextlib.closing(gateway.connect(application_name=name, resource="test")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 7")
        assert cursor.fetchone() == (7,)
    clients = {r.get("client") for r in gateway.records_now(type="session_opened")}
    assert "é" * 31 in clients


def test_a_token_too_long_to_be_one_is_refused_on_the_record(gateway):
    before = len(gateway.records_now(type="session_refused"))
    with pytest.raises(psycopg2.OperationalError):
        gateway.connect(resource="test", token="x" * 20000)
    gateway.records(count=before + 1, type="session_refused", timeout=10)


# --- statements ----------------------------------------------------------------------------------

def test_a_statement_of_a_mebibyte_passes_and_one_more_byte_is_refused(client):
    room = (1 << 20) - len("SELECT length('')")
    fits = f"SELECT length('{'x' * room}')"
    assert not errors(answers(client, pgraw.query(fits)))
    for send in (lambda sql: pgraw.query(sql),
                 lambda sql: pgraw.parse("", sql) + pgraw.bind("", "") + pgraw.execute("") + pgraw.SYNC):
        for extra in (1, 5 << 20):
            error, = errors(answers(client, send(fits.replace("x'", "x" * (extra + 1) + "'"))))
            assert error["C"] == "54000" and "1048576 bytes" in error["M"]
            assert works(client)


def test_too_many_tokens_are_refused(client):
    error, = errors(answers(client, pgraw.query("SELECT " + "1+" * 40000 + "1")))
    assert error["C"] == "54000" and "tokens" in error["M"]
    assert works(client)


@pytest.mark.parametrize("nesting", [("(", ")"), ("(SELECT ", ")"), ("ARRAY[", "]"), ("NOT ", ""), ("-", "")])
def test_deep_nesting_is_answered_and_the_session_goes_on(client, nesting):
    for depth in (500, 15000):
        answered = answers(client, pgraw.query("SELECT " + nesting[0] * depth + "1" + nesting[1] * depth))
        assert answered[-1] == (b"Z", b"I")
    assert works(client)


BAD_TEXT = {"cut short": b"SELECT '\xc3'", "overlong": b"SELECT '\xc0\xa7'", "surrogate": b"SELECT '\xed\xa0\x80'",
            "latin-1": "SELECT 'Müller'".encode("latin-1"), "beyond Unicode": b"SELECT '\xf5\x80\x80\x80'",
            "in a name": b"SELECT 1 AS \"\xff\""}


@pytest.mark.parametrize("name", BAD_TEXT)
def test_text_that_is_not_utf_8_is_refused(client, test_db, name):
    text = BAD_TEXT[name] + b" /* not utf-8 */"
    for sent in (pgraw.message(b"Q", text + b"\0"),
                 pgraw.message(b"P", b"\0" + text + b"\0\0\0") + pgraw.bind("", "") + pgraw.SYNC):
        error, = errors(answers(client, sent))
        assert error["C"] == "22021" and "UTF-8" in error["M"]
        assert works(client)


def test_nul_in_statements_and_names_is_refused(client, test_db):
    for sent in (pgraw.message(b"Q", b"SELECT 1\0; DROP TABLE smuggled_by_nul\0"),
                 pgraw.message(b"P", b"a\0SELECT 1\0DROP TABLE smuggled_by_nul\0\0\0") + pgraw.SYNC,
                 pgraw.message(b"P", b"\0SELECT 1; DROP TABLE smuggled_by_nul") + pgraw.SYNC,
                 pgraw.message(b"Q", b"SELECT 'smuggled_by_nul'")):
        error, = errors(answers(client, sent))
        assert error["C"] in ("22021", "08P01")
        assert works(client)
    assert not test_db.logged("smuggled_by_nul")


@pytest.mark.parametrize("sent", [
    b"B", pgraw.message(b"B", b"\0"), pgraw.message(b"B", b"\0\0\0\0\xff\xff"),
    pgraw.message(b"B", b"\0\0\0\0\0\1\x7f\xff\xff\xffx\0\0"), pgraw.message(b"E", b"\0"),
    pgraw.message(b"D", b"X\0"), pgraw.message(b"C", b"S"), pgraw.message(b"P", b"x"),
    pgraw.message(b"S", b"x"), pgraw.message(b"?", b"x"), b"Q\0\0\0\0", b"Q\xff\xff\xff\xff", b"Q\x7f\xff\xff\xff",
    pgraw.message(b"p", b"secret\0"), pgraw.message(b"F", b"x" * 10)],
    ids=lambda b: b[:24].hex())
def test_a_malformed_message_ends_at_most_this_session(gateway, sent):
    client = pgraw.RawClient(gateway.port, "test", gateway.shared_token)
    client.send(sent + pgraw.SYNC)
    if sent in (b"B", b"Q\x7f\xff\xff\xff"):  # not whole yet
        client.close()
        return
    kinds = []
    with contextlib.suppress(EOFError, ConnectionError):
        while b"Z" not in kinds:
            kinds.append(client.read()[0])
    assert b"E" in kinds
    client.close()


def test_every_message_is_understood_however_it_is_cut(gateway):
    """One byte at a time over TCP, each in a TLS record of its own."""
    script = (pgraw.parse("p", "SELECT $1::text") + pgraw.describe("S", "p") + pgraw.bind("", "p", ["hello"]) +
              pgraw.execute("") + pgraw.close("S", "p") + pgraw.SYNC + pgraw.query("SELECT 1; SELECT 2"))
    seen = []
    for size in (1, len(script)):
        client = pgraw.RawClient(gateway.port, "test", gateway.shared_token)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(script), size):
            client.send(script[i:i + size])
        seen.append([*client.until_ready(), *client.until_ready()])
        client.close()
    assert seen[0] == seen[1] and not errors(seen[0])


# --- size ----------------------------------------------------------------------------------------

def private_bytes(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) << 10 for line in text.splitlines()
               if line.startswith(("Private_Clean", "Private_Dirty")))


class Watch:
    """The largest private memory of a process while it is watched."""

    def __init__(self, pid):
        self.pid, self.peak, self.samples, self._done = pid, 0, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self._done.wait(0.01):
            with contextlib.suppress(OSError):
                self.peak = max(self.peak, private_bytes(self.pid))
                self.samples += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *args):
        self._done.set()
        self._thread.join()


def played(authority, story):
    target = fakepg.FakePostgres(story)
    resource = gateways.resource(target, authority, tls="off", ca=None)
    return target, shared_gateway(authority, {"test": resource})


def session_pid(gateway, client):
    return machine.until(lambda: gateways._owner_of(client.socket.getsockname()[1], gateway.port),
                         "the session's process")


def test_a_field_of_a_gibibyte_passes_to_the_client_in_bounded_memory(authority):
    piece = random.Random(1).randbytes(PIECE)

    def story(peer):
        peer.welcome()
        while peer.message()[0] != b"Q":
            pass
        peer.send(fakepg.message(b"T", b"\0\1a\0" + bytes(18)) + b"D" + struct.pack("!IHI", GIB + 10, 1, GIB))
        for _ in range(GIB // len(piece)):
            peer.send(piece)
        peer.send(fakepg.message(b"C", b"SELECT 1\0") + fakepg.READY)
        peer.read_exactly(1)
    target, running = played(authority, story)
    with target, running as gateway:
        client = pgraw.RawClient(gateway.port, "test", gateway.token(), timeout=machine.PATIENCE * 4)
        with Watch(session_pid(gateway, client)) as watch:
            client.send(pgraw.query("SELECT a FROM public.t"))
            assert client.read()[0] == b"T"
            assert struct.unpack("!cIHI", client._take(11)) == (b"D", GIB + 10, 1, GIB)
            left, at = GIB, 0
            data, client.buffer = client.buffer, b""
            while left > 0:
                data = data or client.socket.recv(min(left, 1 << 18))
                assert data
                here = data[:left]
                # The pattern must not be broken, wherever the pieces were cut.
                start = at % len(piece)
                assert here[:64] == (piece + piece)[start:start + 64][:len(here)]
                left, at = left - len(here), at + len(here)
                client.buffer, data = data[len(here):], b""
            assert [kind for kind, _ in client.until_ready()] == [b"C", b"Z"]
        client.close()
        outcome = gateway.record(type="command_outcome")
        assert outcome["rows"] == 1 and outcome["bytes"] > GIB
    assert watch.samples > 10 and watch.peak < SESSION_MEMORY, f"{watch.peak / 1e6} MB"


@pytest.mark.parametrize("way", ["bind", "copy"])
def test_a_gibibyte_passes_to_the_target_in_bounded_memory(authority, way):
    piece = random.Random(2).randbytes(PIECE)
    received = []

    def sink(peer, n):
        total = 0
        while total < n:
            data = peer._buffer or peer.socket.recv(1 << 18)
            peer._buffer = b""
            if not data:
                raise EOFError
            total += len(data)
            if total > n:
                peer._buffer = data[len(data) - (total - n):]
        received.append(min(total, n))

    def story(peer):
        peer.welcome()
        while True:
            kind, length = struct.unpack("!cI", peer.read_exactly(5))
            if length - 4 >= GIB:
                sink(peer, length - 4)
            else:
                peer.read_exactly(length - 4)
            peer.send({b"P": fakepg.message(b"1"), b"B": fakepg.message(b"2"),
                       b"E": fakepg.message(b"C", b"INSERT 0 1\0"), b"S": fakepg.READY,
                       b"Q": fakepg.message(b"G", b"\0\0\0"),
                       b"c": fakepg.message(b"C", b"COPY 1\0") + fakepg.READY}.get(kind, b""))
    target, running = played(authority, story)
    with target, running as gateway:
        client = pgraw.RawClient(gateway.port, "test", gateway.token(), timeout=machine.PATIENCE * 4)
        with Watch(session_pid(gateway, client)) as watch:
            if way == "bind":
                client.send(pgraw.parse("", "INSERT INTO public.t VALUES ($1)"))
                head = b"\0\0\0\0\0\1" + struct.pack("!I", GIB)
                client.send(b"B" + struct.pack("!I", 4 + len(head) + GIB + 2) + head)
                tail = b"\0\0" + pgraw.execute("") + pgraw.SYNC
            else:
                client.send(pgraw.query("COPY public.t FROM STDIN"))
                assert client.read()[0] == b"G"
                client.send(b"d" + struct.pack("!I", 4 + GIB))
                tail = pgraw.message(b"c")
            for _ in range(GIB // len(piece)):
                client.send(piece)
            client.send(tail)
            kinds = [kind for kind, _ in client.until_ready()]
        assert kinds == ([b"1", b"2", b"C", b"Z"] if way == "bind" else [b"C", b"Z"])
        client.close()
        intent = gateway.record(type="command_intent")
        if way == "bind":
            assert intent["binds"][0]["full_length"] == GIB
    assert received[0] >= GIB
    assert watch.samples > 10 and watch.peak < SESSION_MEMORY, f"{watch.peak / 1e6} MB"


def test_a_huge_field_of_a_real_server_arrives_whole(gateway):
    client = pgraw.RawClient(gateway.port, "test", gateway.shared_token, timeout=machine.PATIENCE * 2)
    with Watch(session_pid(gateway, client)) as watch:
        client.send(pgraw.query("SELECT repeat('abcdefgh', 16 << 20)"))
        assert client.read()[0] == b"T"
        kind, length = struct.unpack("!cI", client._take(5))
        body = bytearray(client.buffer)  # in place: client.read() would copy it a thousand times
        while len(body) < length - 4:
            body += client.socket.recv(1 << 18)
        assert kind == b"D" and body[6:length - 4] == b"abcdefgh" * (16 << 20)
    assert watch.peak < SESSION_MEMORY
    client.close()


def test_a_client_that_does_not_read_holds_its_session_in_bounded_memory(gateway):
    client = pgraw.RawClient(gateway.port, "test", gateway.shared_token)
    pid = session_pid(gateway, client)
    with Watch(pid) as watch:
        client.send(pgraw.query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
        machine.until(lambda: watch.samples > 50, "some time")
    assert watch.peak < SESSION_MEMORY
    reset(client.socket)
    machine.until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "the session to end")


# --- cancel --------------------------------------------------------------------------------------

def cancel(gateway, process, secret):
    with gateway.socket() as s:
        s.sendall(struct.pack("!IIII", 16, 80877102, process, secret))
        assert s.recv(1) == b""


def key_of(gateway):
    """A client, and the key that it was given."""
    class Keyed(pgraw.RawClient):
        def until_ready(self):
            for kind, body in super().until_ready():
                if kind == b"K":
                    self.key = struct.unpack("!II", body)
                yield kind, body
    return Keyed(gateway.port, "test", gateway.shared_token, timeout=machine.PATIENCE)


def test_cancel_with_another_sessions_key_cancels_nothing(gateway, test_db):
    one, two = key_of(gateway), key_of(gateway)
    assert one.key != two.key
    one.send(pgraw.query("SELECT 'one', pg_sleep(1.5)"))
    machine.until(lambda: test_db.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT ''one''%'"),
                  "the statement to run")
    cancel(gateway, *two.key)                      # another session's
    cancel(gateway, one.key[0], two.key[1])        # ours, with the other's secret
    cancel(gateway, one.key[0], one.key[1] ^ 1)    # nearly
    cancel(gateway, one.key[0] ^ 1, one.key[1])
    pid, = test_db.sql("SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT ''one''%'")
    cancel(gateway, pid[0], one.key[1])            # the server's own number
    assert not errors(one.until_ready())
    one.send(pgraw.query("SELECT 'one', pg_sleep(100)"))
    machine.until(lambda: test_db.sql("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND "
                                      "query LIKE 'SELECT ''one''%100%'"), "the statement to run")
    cancel(gateway, *one.key)
    error, = errors(one.until_ready())
    assert error["C"] == "57014"
    one.close(), two.close()


def test_the_key_of_a_session_that_is_over_cancels_nothing(gateway):
    client = key_of(gateway)
    client.close()
    cancel(gateway, *client.key)


def test_a_flood_of_cancels_does_no_harm(gateway):
    client = key_of(gateway)
    sockets = []
    for i in range(300):
        s = gateway.socket()
        s.sendall(struct.pack("!IIII", 16, 80877102, client.key[0], client.key[1] ^ (i % 3 != 0)))
        sockets.append(s)
    for s in sockets:
        with contextlib.suppress(ConnectionError):
            assert s.recv(1) in (b"", b"E")  # E: too many that are not authenticated
        s.close()
    # Late ones may hit what follows; in the end the session must be there and work.
    machine.until(lambda: works(client), "the session to work")
    with gateway.connect(token=gateway.shared_token) as other:
        other.cursor().execute("SELECT 1")
    other.close()
    client.close()


# --- clients that go -----------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["close", "reset", "within a message"])
def test_a_client_gone_within_a_copy_leaves_nothing_and_holds_nothing(gateway, test_db, how):
    test_db.sql("DROP TABLE IF EXISTS copied", "CREATE TABLE copied (t text)",
                "ALTER TABLE copied OWNER TO app_owner")
    client = pgraw.RawClient(gateway.port, "test", gateway.shared_token)
    client.send(pgraw.query("COPY public.copied FROM STDIN"))
    assert client.read()[0] == b"G"
    client.send(pgraw.message(b"d", b"a row\n") * 20000)
    if how == "within a message":
        client.send(b"d\0\0\xff\xffpart")
    if how == "reset":
        reset(client.socket)
    else:
        client.close()
    machine.until(lambda: not test_db.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY public.copied%' "
                                          "AND state <> 'idle'"), "the server to give up")
    assert test_db.sql("SELECT count(*) FROM copied") == [(0,)]
    intent = gateway.records(type="command_intent", statement="COPY public.copied")[-1]
    outcome = gateway.records(type="command_outcome", session=intent["session"])[-1]
    assert outcome["error"] or outcome["unknown"]


def test_a_client_gone_within_a_result_ends_the_statement(gateway, test_db):
    client = pgraw.RawClient(gateway.port, "test", gateway.shared_token)
    client.send(pgraw.query("SELECT repeat('gone', 1000) FROM generate_series(1, 10000000)"))
    assert client.read()[0] == b"T"
    reset(client.socket)
    machine.until(lambda: not test_db.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%repeat(''gone%' AND "
                                          "pid <> pg_backend_pid()"), "the server's process to end")


# --- start-up ------------------------------------------------------------------------------------

def test_replication_connections_are_refused(gateway):
    for value in ("true", "database", "on", "1", "yes", "TRUE"):
        with Wire(gateway) as wire:
            error = wire.login(gateway.shared_token, replication=value)
        assert error["S"] == "FATAL" and "replication" in error["M"], value


def test_physical_backup_commands_are_not_sql(gateway, client):
    for command in ("IDENTIFY_SYSTEM", "BASE_BACKUP", "START_REPLICATION 0/0"):
        error, = errors(answers(client, pgraw.query(command)))
        assert error["C"] == "42601"


def test_protocol_3_2_is_spoken_and_later_ones_negotiated(gateway):
    import harness.wire as w
    for version, answer in ((196608, None), (196610, None), (196617, 2), (196609, 0)):
        with Wire(gateway) as wire:
            wire.tls()
            wire.send(w.startup(version, user="test", database="app", **({"_pq_.unknown": "1"} if answer else {})))
            kind, body = wire.read()
            if kind == "v":
                minor, count = struct.unpack("!II", body[:8])
                assert minor & 0xffff == answer and count == (1 if answer else 0)
                kind, body = wire.read()
            else:
                assert answer is None
            assert (kind, body) == ("R", struct.pack("!I", 3))
            wire.send(message("p", gateway.shared_token.encode() + b"\0"))
            seen = dict((kind, body) for kind, body in wire.read_until("Z", "E"))
            assert "E" not in seen, fields(seen["E"])
            assert (len(seen["K"]) > 8) == (version in (196610, 196617))
            wire.send(query("SELECT 1"))
            assert wire.read_until("Z")[-1][1] == b"I"


@pytest.mark.parametrize("parameters", [{"user": "te\udcffst"}, {"database": "\udcc3"}, {"application_name": "\udcff"}])
def test_start_up_parameters_that_are_not_utf_8_do_no_harm(gateway, parameters):
    all_parameters = {"user": "test", "database": "app", **parameters}
    body = b"".join(k.encode() + b"\0" + v.encode(errors="surrogateescape") + b"\0"
                    for k, v in all_parameters.items()) + b"\0"
    with Wire(gateway) as wire:
        wire.tls()
        wire.send(struct.pack("!II", 8 + len(body), 196608) + body)
        kind, answer = wire.read()
        if kind == "R":
            wire.send(message("p", gateway.shared_token.encode() + b"\0"))
            kind, answer = wire.read_until("E", "Z")[-1]
        assert kind == "Z" or fields(answer)["S"] == "FATAL"


def test_idle_sessions_are_many(gateway):
    """Not a benchmark: forty at the same time, each usable."""
    connections = [gateway.connect(token=gateway.shared_token) for _ in range(40)]
    for i, connection in enumerate(connections):
        cursor = connection.cursor()
        cursor.execute("SELECT %s::int", (i,))
        assert cursor.fetchone() == (i,)
    for connection in connections:
        connection.close()
    with pytest.raises(psycopg2.InterfaceError):
        connections[0].cursor()
