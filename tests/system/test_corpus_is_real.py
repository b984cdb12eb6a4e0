"""Every case of tests/corpus/sql is real: without a gateway the leaks leak and the forbidden
statements run. This is about the cases, not the gateway, so it runs only when asked for, by
CORPUS_VALIDATE=1; it takes a minute."""
import os

import pytest
from harness import corpus

pytestmark = pytest.mark.skipif(not os.environ.get("CORPUS_VALIDATE"), reason="CORPUS_VALIDATE=1 asks for it")


@pytest.fixture(scope="module")
def raw_runner(authority):
    with corpus.corpus_server(authority) as server:
        yield corpus.runner(server)


@pytest.mark.parametrize("case", corpus.parameters("leak", "legit", "block"))
def test_real(raw_runner, case):
    result = raw_runner.run(case)
    if result.verdict == "SKIP":
        pytest.skip(result.detail)
    assert result.ok, str(result)
