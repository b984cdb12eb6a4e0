"""Fixtures of the system tests; README.md beside this file describes them."""
import shutil
import sys
import pathlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import corpus  # noqa: E402
from harness import gateway as gateways  # noqa: E402
from harness import machine  # noqa: E402
from harness.idp import IdentityProvider  # noqa: E402
from harness.pki import Authority  # noqa: E402
from harness.postgres import PASSWORD, Postgres  # noqa: E402
from harness.sentinel import Sentinel  # noqa: E402


@pytest.fixture(scope="session")
def authority():
    """The certificate authority that all trust."""
    folder = machine.short_folder("bh-ca-")
    yield Authority(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _server(name, authority):
    server = Postgres(name, authority)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def test_db(authority):
    """The PostgreSQL server "test"."""
    yield from _server("test", authority)


@pytest.fixture(scope="session")
def production_db(authority):
    """The PostgreSQL server "production"."""
    yield from _server("production", authority)


@pytest.fixture
def gateway(request, authority):
    """Starts gateways: gateway({changes to the configuration}). By default resources `test` and
    `production` lead to the two servers, and the rules are those of the story."""
    started = request.node._started_gateways = []

    def start(changes=None, databases=True, environment=None, run=True, console=False):
        config = {"resources": {}}
        if databases:
            config["resources"] = {
                "test": gateways.resource(request.getfixturevalue("test_db"), authority),
                "production": gateways.resource(request.getfixturevalue("production_db"), authority,
                                                env="production"),
            }
        config = gateways.merged(config, changes or {})
        new = gateways.Gateway(authority, config,
                               {"TARGET_PASSWORD": PASSWORD, **(environment or {})}, console)
        started.append(new)
        return new.start() if run else new

    yield start
    problems = []
    for each in reversed(started):
        try:
            each.finish()
        except AssertionError as e:
            problems.append(str(e))
    assert not problems, "\n".join(problems)


@pytest.fixture
def story(gateway):
    """A gateway as the story has it, without changes."""
    return gateway()


@pytest.fixture
def database(test_db, request):
    """The name of an empty database on the server "test", for this test alone."""
    name = "d_" + "".join(c if c.isalnum() else "_" for c in request.node.name.lower())[:50]
    test_db.fresh_database(name)
    yield name
    test_db.sql(f'DROP DATABASE "{name}" WITH (FORCE)', database="postgres")


@pytest.fixture
def sentinel():
    """A target that counts connections: for tests in which none may come."""
    target = Sentinel()
    yield target
    target.close()


@pytest.fixture(scope="session")
def corpus_server(authority):
    """The server of the SQL corpus."""
    with corpus.corpus_server(authority) as server:
        yield server


@pytest.fixture(scope="module")
def corpus_runner(authority, corpus_server):
    """Runs cases of the SQL corpus through a gateway."""
    with corpus.corpus_gateway(authority, corpus_server) as gateway:
        yield corpus.runner(corpus_server, gateway)


@pytest.fixture
def idp(tmp_path):
    """A real OpenID Connect provider."""
    provider = IdentityProvider(tmp_path / "idp.log")
    yield provider
    provider.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the end of the gateways' logs."""
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        for each in getattr(item, "_started_gateways", []):
            report.sections.append(("gateway log", each.log_text()[-6000:]))
