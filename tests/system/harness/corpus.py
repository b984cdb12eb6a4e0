"""The corpus of SQL (tests/corpus/sql) and what it runs against: a server of its own, with the
database that is attacked, and a gateway in front of it that is configured as its policy says."""
import contextlib
import os
import re
import sys

import pytest

from . import machine
from .gateway import Gateway
from .postgres import Postgres

FOLDER = machine.ROOT / "tests" / "corpus" / "sql"
sys.path.insert(0, str(FOLDER))

import settings  # noqa: E402
from cases import load_cases  # noqa: E402
from run import options  # noqa: E402
from runner import Runner  # noqa: E402

SERVER_SETTINGS = {"wal_level": "logical", "max_prepared_transactions": "10", "autovacuum": "off",
                   "timezone": "UTC", "synchronous_commit": "on", "log_statement": "none",
                   "log_connections": "off"}
CASES = os.environ.get("CORPUS_CASES", str(FOLDER))
WITHOUT = os.environ.get("CORPUS_WITHOUT", "").split()


@contextlib.contextmanager
def corpus_server(authority):
    """A server on which Runner may make the database; destroyed by and by, as cases please."""
    server = Postgres("corpus", authority, SERVER_SETTINGS)
    try:
        yield server
    finally:
        server.remove()


@contextlib.contextmanager
def corpus_gateway(authority, server, without=()):
    """A gateway with the corpus's policy. At the end it must stop in order, as in conftest.py."""
    without = [*WITHOUT, *without]
    gateway = Gateway(authority, settings.configuration(server.host, server.port, without),
                      {"TARGET_PASSWORD": settings.PASSWORD})
    try:
        yield gateway.start()
    finally:
        gateway.finish()


def runner(server, gateway=None, new=True):
    """A Runner through the gateway; without one on the database itself."""
    a = options(["--admin-port", str(server.port), "--cases", CASES])
    a.setup = new
    a.validate = gateway is None
    if gateway is not None:
        a.port, a.user = gateway.port, settings.RESOURCE
        a.password = gateway.token(ttl="1h")
    return Runner(a)


def parameters(*kinds):
    """pytest's parameters: a case each, with its name."""
    return [pytest.param(case, id=case.name) for case in load_cases(CASES, kinds)]


def expected_failures():
    """{case name: reason} of expected_failures.txt."""
    lines = (FOLDER / "expected_failures.txt").read_text(encoding="utf-8").splitlines()
    found = {}
    for line in lines:
        if line.strip() and not line.startswith("#"):
            m = re.fullmatch(r"(\S+/\S+)\s+(\S.*)", line)
            assert m, f"expected_failures.txt: no case and reason: {line}"
            found[m.group(1)] = m.group(2)
    return found


EXPECTED_FAILURES = expected_failures()


def check(result):
    """Fails if the verdict is wrong, or right although the case is expected to fail."""
    if result.verdict == "SKIP":
        pytest.skip(result.detail)
    reason = EXPECTED_FAILURES.get(result.case.name)
    assert result.ok or reason, str(result)
    assert not (result.ok and reason), f"{result}: expected to fail ({reason})"
