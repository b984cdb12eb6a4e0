"""A target that counts who comes: for tests in which nobody may."""
import socket
import threading


class Sentinel:
    """Listens on a loopback port, closes every connection at once and counts them."""

    host = "127.0.0.1"

    def __init__(self):
        self.connections = 0
        self._socket = socket.create_server((self.host, 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
