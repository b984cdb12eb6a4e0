"""A PostgreSQL client of bytes: sends any message in any order, and shows what comes back."""
import socket
import ssl
import struct


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def query(text):
    return message(b"Q", text.encode() + b"\0")


def parse(name, text, types=()):
    return message(b"P", name.encode() + b"\0" + text.encode() + b"\0" +
                   struct.pack(f"!H{len(types)}I", len(types), *types))


def bind(portal, statement, values=()):
    body = portal.encode() + b"\0" + statement.encode() + b"\0\0\0" + struct.pack("!H", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else \
            struct.pack("!I", len(value)) + value.encode()
    return message(b"B", body + b"\0\0")


def execute(portal, rows=0):
    return message(b"E", portal.encode() + b"\0" + struct.pack("!I", rows))


def describe(kind, name):
    return message(b"D", kind.encode() + name.encode() + b"\0")


def close(kind, name):
    return message(b"C", kind.encode() + name.encode() + b"\0")


SYNC, FLUSH, TERMINATE = message(b"S"), message(b"H"), message(b"X")


def error_fields(body):
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


class RawClient:
    """Logs in (a cleartext password, or none wanted) and then only carries messages."""

    def __init__(self, port, user, password=None, database="app", tls=True, host="127.0.0.1",
                 timeout=20):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.buffer = b""
        if tls:
            self.socket.sendall(struct.pack("!II", 8, 80877103))
            assert self.socket.recv(1) == b"S"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        body = struct.pack("!I", 196608) + b"".join(
            part.encode() + b"\0" for part in ("user", user, "database", database)) + b"\0"
        self.send(struct.pack("!I", len(body) + 4) + body)
        for kind, body in self.until_ready():
            if kind == b"R" and body == b"\0\0\0\3":
                self.send(message(b"p", password.encode() + b"\0"))
            assert kind != b"E", error_fields(body)

    def send(self, data):
        self.socket.sendall(data)

    def _take(self, n):
        while len(self.buffer) < n:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def read(self):
        """The next message: type and body. EOFError at the end."""
        kind, length = struct.unpack("!cI", self._take(5))
        return kind, self._take(length - 4)

    def until_ready(self):
        while True:
            kind, body = self.read()
            yield kind, body
            if kind == b"Z":
                return

    def until_closed(self):
        messages = []
        try:
            while True:
                messages.append(self.read())
        except (EOFError, ConnectionError):
            return messages

    def close(self):
        self.socket.close()
