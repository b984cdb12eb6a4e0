"""`bulkhead explain --sql` and `bulkhead catalog` where columns are protected."""
import json
import re

import pytest
from harness.gateway import ALLOW_ALL, resource

CLAIMS = {"iss": "urn:bulkhead:local", "sub": "agent-7", "groups": ["deploy-agents"]}


@pytest.fixture
def explain(gateway, test_db, authority, database, tmp_path):
    """A gateway with a protected column; explain(sql, …) gives (exit status, what was printed)."""
    test_db.sql("CREATE TABLE people (id int PRIMARY KEY, name text, ssn text)",
                "CREATE VIEW cards AS SELECT id, ssn AS tax_id FROM people",
                "CREATE SCHEMA other", "CREATE TABLE other.people (id int, ssn text)",
                database=database)
    g = gateway({"resources": {"hr": resource(
        test_db, authority, database=database,
        protect=[{"columns": ["public.people.ssn"], "mask": {"partial": 4}}])},
        "policies": ALLOW_ALL})
    claims = tmp_path / "claims.json"
    claims.write_text(json.dumps(CLAIMS))

    def run(sql, *arguments):
        done = g.cli("explain", "--as", claims, "--resource", "hr", "--sql", sql, *arguments,
                     check=False)
        return done.returncode, done.stdout
    run.gateway = g
    return run


def columns(text):
    """{name: (shown, source)} of the table of columns."""
    rows = re.findall(r"^  (\S+) +(as it is|masked: \S+) +(\S.*)$", text, re.M)
    return {name: (shown, source) for name, shown, source in rows}


def test_what_is_masked_is_told_by_column(explain):
    status, text = explain("SELECT id, ssn AS number FROM people")
    assert status == 0
    assert re.search(r"^verdict: +modify$", text, re.M)
    assert columns(text) == {"id": ("as it is", "-"),
                             "number": ("masked: partial", "public.people.ssn")}


def test_a_use_that_is_refused_names_the_column_and_the_use(explain):
    status, text = explain("SELECT id FROM people WHERE ssn > '5'")
    assert status == 1
    assert re.search(r"^verdict: +deny$", text, re.M) and re.search(r"^rule: +protect$", text, re.M)
    assert "column public.people.ssn is protected" in text and "operator >" in text


def test_protection_is_followed_through_views(explain):
    assert columns(explain("SELECT * FROM cards")[1])["tax_id"] == \
        ("masked: partial", "public.people.ssn")


def test_the_search_path_says_which_table_is_meant(explain):
    status, text = explain("SELECT ssn FROM people", "--search-path", "other, public")
    assert status == 0 and columns(text) == {"ssn": ("as it is", "-")}


def test_an_unknown_name_is_told(explain):
    status, text = explain("SELECT nope FROM people")
    assert status == 1 and 'column "nope" does not exist' in text


def test_a_saved_catalog_serves_without_a_gateway(explain, tmp_path):
    saved = tmp_path / "catalog"
    told = explain.gateway.cli("catalog", "--resource", "hr", "--output", saved).stdout
    assert "relations" in told and saved.stat().st_size > 0
    explain.gateway.stop()
    status, text = explain("SELECT ssn FROM people", "--catalog", saved)
    assert status == 0 and columns(text) == {"ssn": ("masked: partial", "public.people.ssn")}


def test_without_a_catalog_nothing_is_called_allowed(explain):
    explain.gateway.stop()
    status, text = explain("SELECT ssn FROM people")
    assert status == 1 and "was not considered" in text.replace("\n", " ")


def test_what_is_no_catalog_is_refused(explain, tmp_path):
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk" * 1000)
    status, text = explain("SELECT ssn FROM people", "--catalog", junk)
    assert status == 1 and "malformed" in text
