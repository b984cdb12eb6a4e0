"""Waiting with a deadline, free ports, and running what must not run as root."""
import os
import pathlib
import pwd
import socket
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]

# Everything takes longer in a sanitized build on a busy machine; waiting ends early when it can.
PATIENCE = 30.0


def until(condition, what, timeout=PATIENCE, every=0.02):
    """Polls `condition()` until it is true and returns what it returned; never sleeps blindly."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout:g} s still waiting: {what}")
        time.sleep(every)


def _port_range():
    # Below the ports that the kernel hands out by itself, and apart from other workers'.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw") or 0)
    return 10000 + (worker * 2000 + os.getpid() * 37) % 20000


_next_port = _port_range()


def free_port(host="127.0.0.1"):
    """A TCP port of this machine that nobody listens on."""
    global _next_port
    while True:
        _next_port = 10000 + (_next_port - 9999) % 20000
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
            try:
                s.bind((host, _next_port))
                return _next_port
            except OSError:
                continue


def short_folder(prefix):
    """A new folder with a short path (Unix sockets allow about 100 bytes), open to all users."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    path.chmod(0o755)
    return path


def as_postgres():
    """Options for subprocess: PostgreSQL refuses to run as root, so it runs as its own user then."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def give_to_postgres(path):
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(path, user.pw_uid, user.pw_gid)
