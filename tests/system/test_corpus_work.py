"""Honest work goes on unchanged, and what is forbidden is refused: legit/ and block/ of
tests/corpus/sql."""
import pytest
from harness import corpus


@pytest.mark.parametrize("case", corpus.parameters("legit"))
def test_legit(corpus_runner, case):
    corpus.check(corpus_runner.run(case))


@pytest.mark.parametrize("case", corpus.parameters("block"))
def test_block(corpus_runner, case):
    corpus.check(corpus_runner.run(case))


def test_every_expected_failure_is_a_case():
    names = {parameter.id for parameter in corpus.parameters("leak", "legit", "block")}
    assert corpus.CASES != str(corpus.FOLDER) or not set(corpus.EXPECTED_FAILURES) - names
