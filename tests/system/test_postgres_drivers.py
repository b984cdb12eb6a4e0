"""Drivers of other languages, each running its program in clients/: JDBC, node-postgres, Go's pgx."""
import os
import pathlib
import shutil
import subprocess

import pytest

from harness import gateway as gateways
from harness import machine
from shared_gateway import shared_gateway

HERE = pathlib.Path(__file__).resolve().parent
JDBC = pathlib.Path("/usr/share/java/postgresql.jar")
GOCODE = pathlib.Path("/usr/share/gocode")
POLICIES = [{"name": "all", "allow": ["all"]},
            {"name": "hands off", "tables": ["forbidden"], "deny": "hands off"}]


@pytest.fixture(scope="module")
def gateway(authority, test_db):
    with shared_gateway(authority, {"test": gateways.resource(test_db, authority)},
                        {"policies": POLICIES}) as gateway:
        yield gateway


def run(*command, timeout=machine.PATIENCE * 6, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=timeout, **options)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout.splitlines()


def go_compiler():
    """Debian's own, if it is there: pgx 4 of Debian 12 is built without modules."""
    debians = sorted(pathlib.Path("/usr/lib").glob("go-1.*/bin/go"))
    return str(debians[-1]) if debians else shutil.which("go") or "/usr/local/go/bin/go"


def test_jdbc_works_unchanged(gateway, tmp_path):
    if not JDBC.exists() or not shutil.which("javac"):
        pytest.skip("needs libpostgresql-jdbc-java and a JDK")
    run("javac", "-cp", JDBC, "-d", tmp_path, HERE / "clients" / "Jdbc.java")
    url = (f"jdbc:postgresql://localhost:{gateway.port}/app?sslmode=verify-full"
           f"&sslrootcert={gateway.authority.ca}")
    lines = run("java", "-XX:TieredStopAtLevel=1", "-cp", f"{JDBC}:/usr/share/java/*:{tmp_path}", "Jdbc", url,
                gateway.token())
    assert lines.count("batch") == 2 and lines.count("server-side prepare") == 2
    assert {"fetch size", "refusal", "savepoint", "copy in", "copy out", "tables", "columns", "cancel",
            "generated keys", "call", "valid", "simple mode"} <= set(lines)


def test_node_postgres_works_unchanged(gateway):
    node = shutil.which("node")
    if not node or not (HERE / "node_modules" / "pg").exists():
        pytest.skip("needs node and the packages of package-lock.json")
    lines = run(node, HERE / "clients" / "node.mjs", gateway.port, gateway.token(), gateway.authority.ca)
    assert lines == ["parameters", "named statement", "several statements", "refusal", "transaction",
                     "notification", "queue", "pool"]


def test_go_pgx_works_unchanged(gateway, tmp_path):
    go = go_compiler()
    if not os.access(go, os.X_OK) or not (GOCODE / "src/github.com/jackc/pgx/v4").exists():
        pytest.skip("needs golang-go and golang-github-jackc-pgx-v4-dev")
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GOCODE), "GOTOOLCHAIN": "local",
                   "CGO_ENABLED": "0", "GOFLAGS": ""}
    program = tmp_path / "pgx"
    run(go, "build", "-o", program, HERE / "clients" / "pgx.go", env=environment,
        timeout=machine.PATIENCE * 20)
    parameters = gateway.parameters()
    lines = run(program, " ".join(f"{k}='{v}'" for k, v in parameters.items() if k != "hostaddr"))
    assert lines.count("prepared") == 10
    assert {"parameters", "batch", "copy", "refusal in a batch", "refusal", "session goes on", "savepoint",
            "notification", "database/sql"} <= set(lines)
