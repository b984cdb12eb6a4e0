"""Enough of PostgreSQL's protocol to speak it by hand, well or badly."""
import socket
import ssl
import struct

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSS_REQUEST = struct.pack("!ii", 8, 80877104)


def startup(version=196608, **parameters):
    """A StartupMessage; 196608 is protocol 3.0, 196610 is 3.2."""
    body = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in parameters.items()) + b"\0"
    return struct.pack("!ii", 8 + len(body), version) + body


def message(kind, body=b""):
    return kind.encode() + struct.pack("!i", 4 + len(body)) + body


def query(sql):
    return message("Q", sql.encode() + b"\0")


def fields(body):
    """The fields of an ErrorResponse or NoticeResponse: {"S": "FATAL", "C": "28000", …}."""
    return {part[:1].decode(): part[1:].decode(errors="replace")
            for part in body.rstrip(b"\0").split(b"\0") if part}


class Closed(Exception):
    """The peer closed the connection."""


class Wire:
    """A connection to the gateway; `socket` is TLS's after tls()."""

    def __init__(self, gateway, timeout=30):
        self.gateway = gateway
        self.socket = gateway.socket(timeout)
        self._buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def _read(self, n):
        while len(self._buffer) < n:
            try:
                piece = self.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLEOFError) as e:
                raise Closed(str(e)) from None
            if not piece:
                raise Closed(f"after {self._buffer!r}")
            self._buffer += piece
        data, self._buffer = self._buffer[:n], self._buffer[n:]
        return data

    def tls(self, direct=False):
        if not direct:
            self.send(SSL_REQUEST)
            assert self._read(1) == b"S"
        context = ssl.create_default_context(cafile=str(self.gateway.authority.ca))
        if direct:
            context.set_alpn_protocols(["postgresql"])
        self.socket = context.wrap_socket(self.socket, server_hostname=self.gateway.host)
        return self

    def read(self):
        """The next message: (type, body). Closed at the end."""
        kind = self._read(1).decode("latin-1")
        length = struct.unpack("!i", self._read(4))[0]
        return kind, self._read(length - 4)

    def read_until(self, *kinds):
        """Messages up to and including the first of these types."""
        seen = []
        while not seen or seen[-1][0] not in kinds:
            seen.append(self.read())
        return seen

    def error(self):
        """Reads on to an ErrorResponse; its fields."""
        return fields(self.read_until("E")[-1][1])

    def login(self, token, resource="test", database="app", **parameters):
        """From the start to ReadyForQuery, or to the error: then its fields, else None."""
        self.tls()
        self.send(startup(user=resource, database=database, **parameters))
        if (first := self.read())[0] == "E":
            return fields(first[1])
        assert first == ("R", struct.pack("!i", 3)), first
        self.send(message("p", token.encode() + b"\0"))
        kind, body = self.read_until("E", "Z")[-1]
        return fields(body) if kind == "E" else None

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()


def reset(connection):
    """Closes a socket so that the peer gets a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
