"""Random queries (tests/corpus/sql/generate.py): nothing protected comes through the gateway, in
any way; what it runs is answered as the database answers; and what uses nothing protected runs.
GENERATE_SEED and GENERATE_COUNT say which and how many."""
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


def make(server, name, in_twin):
    server.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
               f"CREATE DATABASE {name} TEMPLATE corpus_tmpl",
               f"ALTER DATABASE {name} SET statement_timeout = '{TIMEOUT}'", database="postgres")
    server.sql(*generate.twist(in_twin), database=name)


@pytest.fixture(scope="module")
def checker(authority, corpus_server):
    runner = corpus.runner(corpus_server)  # makes the template
    make(corpus_server, "corpus_one", False)
    make(corpus_server, "corpus_two", True)
    admin = runner.env.admin(db="corpus_one")
    secrets = detect.Secrets(admin, (corpus.FOLDER / "policy.txt").read_text())
    admin.close()
    with corpus.corpus_gateway(authority, corpus_server, without=["limits"]) as gateway:
        login = {"host": "127.0.0.1", "timeout": 30}
        through = {**login, "port": gateway.port, "user": settings.RESOURCE,
                   "password": gateway.token(ttl="1h")}
        sides = [generate.Side(**login, port=corpus_server.port, user=settings.ROLE,
                               password=settings.PASSWORD, dbname="corpus_one"),
                 generate.Side(**through, dbname="corpus_one"),
                 generate.Side(**through, dbname="corpus_two")]
        yield generate.Checker(*sides, secrets)
        for side in sides:
            side.close()


@pytest.mark.parametrize("first", range(0, COUNT, PORTION))
def test_random_queries(checker, first):
    checker.counts.clear()
    failures = []
    for i in range(first, min(first + PORTION, COUNT)):
        failure = checker.check(generate.generate(SEED, i), f"{SEED}:{i}")
        if failure:
            failures.append(failure)
            if len(failures) == SHOWN:
                break
    print(f"seed {SEED}, {first}…: {dict(checker.counts)}")
    assert not failures, "\n\n".join(map(str, failures))
