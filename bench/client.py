"""The cheapest PostgreSQL client: logs in, asks, and throws the answer away."""
import socket
import ssl
import struct

READY = b"Z\0\0\0\x05I"  # the end of an answer, outside transactions
CHUNK = 256 << 10


class Client:
    def __init__(self, port, user, database, password="", tls=False):
        self.buffer = bytearray(CHUNK)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self._start_tls()
        words = b"user\0%b\0database\0%b\0\0" % (user.encode(), database.encode())
        self.socket.sendall(struct.pack("!II", len(words) + 8, 196608) + words)
        if self._read(9)[0:9] == b"R\0\0\0\x08\0\0\0\x03":
            secret = password.encode() + b"\0"
            self.socket.sendall(b"p" + struct.pack("!I", len(secret) + 4) + secret)
        self.drain()

    def _start_tls(self):
        self.socket.sendall(struct.pack("!II", 8, 80877103))
        if self.socket.recv(1) != b"S":
            raise OSError("the server does not speak TLS")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def _read(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise OSError("the server closed the connection")
            data += more
        return data

    def drain(self):
        """Reads until the server is ready for the next query; returns the number of bytes."""
        total, tail = 0, b""
        while tail != READY:
            n = self.socket.recv_into(self.buffer)
            if n == 0:
                raise OSError("the server closed the connection")
            total += n
            tail = (tail + self.buffer[max(0, n - len(READY)):n])[-len(READY):]
        return total

    def send(self, text):
        body = text.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack("!I", len(body) + 4) + body)

    def query(self, text):
        self.send(text)
        return self.drain()

    def close(self):
        self.socket.close()
