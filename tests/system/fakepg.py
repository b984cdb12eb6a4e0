"""A target that misbehaves: a PostgreSQL server played by hand, one thread a connection."""
import contextlib
import socket
import ssl
import struct
import threading


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def error(severity, sqlstate, text):
    return message(b"E", b"".join(k + v.encode() + b"\0" for k, v in
                                  ((b"S", severity), (b"V", severity), (b"C", sqlstate), (b"M", text))) + b"\0")


AUTH_OK = message(b"R", struct.pack("!I", 0))
READY = message(b"Z", b"I")
WELCOME = AUTH_OK + message(b"S", b"server_version\0" b"15.0\0") + \
    message(b"S", b"client_encoding\0UTF8\0") + message(b"S", b"server_encoding\0UTF8\0") + \
    message(b"S", b"standard_conforming_strings\0on\0") + message(b"S", b"DateStyle\0ISO, MDY\0") + message(b"K", struct.pack("!II", 7, 8)) + READY


class Peer:
    """The gateway's connection, at the server's side."""

    def __init__(self, connection):
        self.socket = connection
        self._buffer = b""

    def read_exactly(self, n):
        while len(self._buffer) < n:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self._buffer += piece
        data, self._buffer = self._buffer[:n], self._buffer[n:]
        return data

    def send(self, data):
        self.socket.sendall(data)

    def packet(self):
        """A start-up packet: (code, the rest)."""
        length = struct.unpack("!I", self.read_exactly(4))[0]
        body = self.read_exactly(length - 4)
        return struct.unpack("!I", body[:4])[0], body[4:]

    def message(self):
        kind = self.read_exactly(1)
        return kind, self.read_exactly(struct.unpack("!I", self.read_exactly(4))[0] - 4)

    def tls(self, certificate, key):
        assert self.packet()[0] == 80877103
        self.send(b"S")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def welcome(self):
        """A start in clear, and nothing asked."""
        code, _ = self.packet()
        assert code == 196608
        self.send(WELCOME)


class FakePostgres:
    """Each connection is `story(peer)`'s; what it raises is kept in `errors`."""

    host = "localhost"

    def __init__(self, story):
        self.story, self.errors, self.connections = story, [], 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.settimeout(60)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        peer = Peer(connection)
        try:
            self.story(peer)
        except (OSError, EOFError, AssertionError) as e:
            self.errors.append(e)
        finally:
            for each in {peer.socket, connection}:
                with contextlib.suppress(OSError):
                    each.close()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()


def pipe_to(peer, host, port):
    """Joins the peer with a real server, until either closes."""
    with socket.create_connection((host, port)) as other:
        def copy(source, sink):
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    sink.sendall(data)
            for each in (source, sink):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        thread = threading.Thread(target=copy, args=(other, peer.socket), daemon=True)
        thread.start()
        copy(peer.socket, other)
        thread.join()
