"""No way of asking for protected values gets them: every case of tests/corpus/sql/leak."""
import pytest
from harness import corpus


@pytest.mark.parametrize("case", corpus.parameters("leak"))
def test_leak(corpus_runner, case):
    corpus.check(corpus_runner.run(case))
