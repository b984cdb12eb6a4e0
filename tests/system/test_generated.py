"""Random queries (tests/corpus/sql/generate.py): nothing protected comes through the gateway, in
any way; what it runs is answered as the database answers; and what uses nothing protected runs.
GENERATE_SEED and GENERATE_COUNT say which and how many."""
import base64
import contextlib
import hashlib
import os

import pytest
from harness import corpus
from harness.corpus import settings

import detect
import generate

SEED = os.environ.get("GENERATE_SEED", "1")
COUNT = int(os.environ.get("GENERATE_COUNT", "4000"))
PORTION = 500
# A statement that takes longer tells nothing.
TIMEOUT = "2s"
SHOWN = 5
# Of the statements in which protected values only flow into plain output, at most this part may be
# refused instead of masked.
REFUSED_AT_MOST = 0.05


def make(server, name, in_twin):
    server.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
               f"CREATE DATABASE {name} TEMPLATE corpus_tmpl",
               f"ALTER DATABASE {name} SET statement_timeout = '{TIMEOUT}'", database="postgres")
    server.sql(*generate.twist(in_twin), database=name)


@pytest.fixture(scope="module")
def databases(corpus_server):
    """Makes them both; the protected values of the first."""
    runner = corpus.runner(corpus_server)  # makes the template
    make(corpus_server, "corpus_one", False)
    make(corpus_server, "corpus_two", True)
    admin = runner.env.admin(db="corpus_one")
    secrets = detect.Secrets(admin, (corpus.FOLDER / "policy.txt").read_text(encoding="utf-8"))
    admin.close()
    return secrets


@pytest.fixture(scope="module")
def direct(corpus_server, databases):
    """To each of the databases itself."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(generate.Side(
            host="127.0.0.1", port=corpus_server.port, user=settings.ROLE,
            password=settings.PASSWORD, dbname=name, timeout=10)))
            for name in ("corpus_one", "corpus_two")]


@pytest.fixture(scope="module")
def checker(authority, corpus_server, databases, direct):
    with corpus.corpus_gateway(authority, corpus_server, ["limits"]) as gateway, \
            contextlib.ExitStack() as stack:
        token = gateway.token(ttl="1h")
        through = [stack.enter_context(contextlib.closing(generate.Side(
            host="127.0.0.1", port=gateway.port, user=settings.RESOURCE, password=token,
            dbname=name, timeout=10))) for name in ("corpus_one", "corpus_two")]
        yield generate.Checker(direct[0], *through, databases)


@pytest.mark.parametrize("first", range(0, COUNT, PORTION))
def test_random_queries(checker, first):
    checker.counts.clear()
    failures, refused = [], []
    for i in range(first, min(first + PORTION, COUNT)):
        failure = checker.check(generate.generate(SEED, i), f"{SEED}:{i}")
        if failure and failure.kind == "not masked but refused":
            refused.append(failure)
        elif failure:
            failures.append(checker.smaller(failure))
            if len(failures) == SHOWN or failure.kind == "connection lost":
                break
    print(f"seed {SEED}, from {first}: {dict(checker.counts)}")
    assert not failures, "\n\n".join(map(str, failures))
    flows = checker.counts["ran", "flows"] + checker.counts["refused", "flows"]
    assert len(refused) <= REFUSED_AT_MOST * flows, f"{len(refused)} of {flows} refused:\n\n" + \
        "\n\n".join(str(checker.smaller(f)) for f in refused[:SHOWN])


def test_without_a_gateway_the_checker_sees_what_leaks(databases, direct):
    checker = generate.Checker(direct[0], *direct, databases)
    statements = [generate.generate("leaks", i) for i in range(300)]
    failures = [checker.check(s, i) for i, s in enumerate(statements)]
    assert {f.kind for f in failures if f} == {"leak", "tells protected values apart"}
    assert not [str(f) for f in failures if f and f.statement.level == generate.CLEAN]
    assert checker.counts["valid"] > 9 * checker.counts["invalid"]
    levels = [s.level for s in statements]
    assert min(levels.count(level) for level in range(3)) > 20


@pytest.mark.parametrize("sql", [
    "SELECT id FROM customers WHERE ssn > '5'",
    "SELECT count(*) FROM customers WHERE email LIKE 'a%'",
    "SELECT name FROM employees ORDER BY salary",
    "SELECT id FROM customers GROUP BY id, dob HAVING dob < '1970-01-01'",
    "SELECT sum(length(md5(notes)) + ascii(md5(notes))) FROM customers",
    "SELECT id FROM orders LIMIT (SELECT ascii(email) - 90 FROM customers WHERE id = 7)",
    "SELECT 1 / (ascii(email) - 100) FROM customers WHERE id = 7",
])
def test_the_checker_sees_what_is_only_used(databases, direct, sql):
    checker = generate.Checker(direct[0], *direct, databases)
    query = generate.Query([], sql)
    statement = generate.Statement(query, generate.USES, "simple", "public", [], ordered=True)
    assert checker.check(statement, 0).kind == "tells protected values apart"


def test_a_seed_makes_the_same_queries_again():
    for i in range(50):
        first, again = (generate.generate("again", i).query.sql() for _ in range(2))
        assert first == again


def test_disguises_are_found(databases):
    finder = generate.Finder(databases)
    value = databases.by["public.customers.ssn"][3]
    for disguise in (value, value.encode().hex(), value[::-1], value.replace("-", ""),
                     base64.b64encode(b"ab" + value.encode()).decode(),
                     hashlib.md5(value.encode()).hexdigest()):
        assert finder.find(b"some " + disguise.encode() + b" more"), disguise
    assert not finder.find(b"123-45 name city 2024-01-01 other")
