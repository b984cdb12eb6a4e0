"""`bulkhead explain --sql` and `bulkhead catalog` where columns are protected."""
import json
import os
import re

import pytest
from harness.gateway import ALLOW_ALL, resource

CLAIMS = {"iss": "urn:bulkhead:local", "sub": "agent-7", "groups": ["deploy-agents"]}
PROTECT = [{"columns": ["public.people.ssn"], "mask": {"partial": 4}},
           {"columns": ["public.people.badge"], "mask": "redact", "lookup": "equality"},
           {"columns": ["public.payments.details"], "paths": ["card.number"], "mask": "redact"}]
SCHEMA = """
    CREATE TABLE people (id int PRIMARY KEY, name text, ssn text, badge text);
    CREATE TABLE payments (id int, details jsonb);
    CREATE VIEW cards AS SELECT id, ssn AS tax_id FROM people;
    CREATE FUNCTION doubled(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2';
    CREATE FUNCTION spy() RETURNS text LANGUAGE sql AS 'SELECT ssn FROM public.people LIMIT 1';
    CREATE SCHEMA other;
    CREATE TABLE other.people (id int, ssn text);
    CREATE SCHEMA app_scram;
    CREATE TABLE app_scram.mine (id int);
    GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
    GRANT ALL ON SCHEMA public TO PUBLIC;
"""
POLICIES = [*ALLOW_ALL, {"name": "not this one", "tables": ["public.payments"], "commands": ["write"],
                         "deny": "payments are append-only"}]


class Explained:
    """One run: `status`, `text`, `errors`."""

    def __init__(self, done):
        self.status, self.text, self.errors = done.returncode, done.stdout, done.stderr

    def field(self, name):
        found = re.search(rf"^{name}: +(.*)$", self.text, re.M)
        return found and found.group(1)

    @property
    def columns(self):
        """{name: (shown, from)} of the tables of columns."""
        rows = re.findall(r"^  (\S+) +((?:as it is|masked|json path|fields).*?)  *(-|[\w.]+(?:, [\w.]+)*)$",
                          self.text, re.M)
        return {name: (shown, source) for name, shown, source in rows}


@pytest.fixture
def explain(gateway, test_db, authority, database, tmp_path):
    """A gateway with protected columns; explain(sql, …) runs the command."""
    test_db.sql(SCHEMA, database=database)
    g = gateway({"resources": {"hr": resource(test_db, authority, database=database, protect=PROTECT,
                                              detect=["us-ssn"])},
                 "policies": POLICIES})
    claims = tmp_path / "claims.json"
    claims.write_text(json.dumps(CLAIMS))

    def run(sql, *arguments):
        return Explained(g.cli("explain", "--as", claims, "--resource", "hr", "--sql", sql, *arguments,
                               check=False))
    run.gateway = g
    run.psql = lambda sql: g.psql(sql, resource="hr", database=database)
    run.claims = claims
    return run


def saved_catalog(explain, tmp_path):
    saved = tmp_path / "catalog"
    told = explain.gateway.cli("catalog", "--resource", "hr", "--output", saved).stdout
    assert "relations" in told and saved.stat().st_size > 0 and saved.stat().st_mode & 0o777 == 0o600
    return saved


def test_what_is_masked_is_told_by_column(explain):
    x = explain("SELECT id, ssn AS number FROM people")
    assert x.status == 0 and x.field("verdict") == "modify"
    assert x.field("masked") == "public.people.ssn"
    assert x.columns == {"id": ("as it is", "-"), "number": ("masked: partial 4", "public.people.ssn")}
    assert x.field("detectors") == "us-ssn (what they find is overwritten)"
    assert re.search(r"^  read +allow .* relation public.people$", x.text, re.M)
    x = explain("SELECT details FROM payments")
    assert x.columns["details"] == ("json path card.number masked: redact", "public.payments.details")


def test_what_is_not_protected_is_plainly_allowed(explain):
    x = explain("SELECT id, name FROM people ORDER BY name")
    assert x.status == 0 and x.field("verdict") == "allow" and x.field("masked") is None


def test_a_use_that_is_refused_names_the_column_the_use_and_what_is_allowed(explain):
    x = explain("SELECT id FROM people WHERE ssn > '5'")
    assert x.status == 1 and x.field("verdict") == "deny" and x.field("rule") == "protect"
    assert "column public.people.ssn is protected" in x.field("reason")
    assert x.field("column") == "public.people.ssn" and x.field("use") == "operator > (WHERE)"
    assert "select it as it is" in x.field("instead") and "compare it by =" not in x.text
    assert "NAME" not in x.text
    assert "compare it by = with one whole value" in explain("SELECT 1 FROM people ORDER BY badge").text
    assert explain("SELECT id FROM people WHERE badge = '5'").status == 0


def test_a_deny_of_the_rules_comes_before_protection(explain):
    x = explain("DELETE FROM payments WHERE details->'card'->>'number' = '1'")
    assert x.status == 1 and x.field("rule") == "not this one"
    assert x.field("reason") == "payments are append-only"
    assert x.field("column") is None and x.field("allowed") is not None


def test_protection_is_followed_through_views(explain):
    x = explain("SELECT * FROM cards")
    assert x.columns["tax_id"] == ("masked: partial 4", "public.people.ssn")
    assert "views looked into: public.cards\n" in x.text


def test_functions_are_looked_into(explain):
    x = explain("SELECT doubled(id) FROM people")
    assert x.status == 0 and "functions looked into: public.doubled\n" in x.text
    x = explain("SELECT spy()")
    assert x.status == 1 and x.field("rule") == "protect" and "spy()" in x.field("reason")


def test_unknown_names_are_told_as_the_gateway_tells_them(explain):
    for sql, words in [("SELECT nope FROM people", 'column "nope" does not exist'),
                       ("SELECT * FROM nowhere", 'relation "nowhere" does not exist')]:
        x = explain(sql)
        assert x.status == 1 and x.field("rule") == "none" and words in x.field("reason")
        assert x.field("sqlstate") in ("42703", "42P01")
        assert words in explain.psql(sql).stderr


def test_cursors_copies_and_several_statements(explain):
    x = explain("DECLARE c CURSOR FOR SELECT ssn FROM people; FETCH 2 FROM c")
    assert "statement 1: DECLARE c" in x.text and "declares cursor c\n" in x.text
    assert "shows what cursor c shows, see statement 1\n" in x.text
    x = explain("COPY people (id, ssn) TO STDOUT")
    assert "copies to the client: COPY text\n" in x.text and x.columns["ssn"][0] == "masked: partial 4"


def test_the_search_path_says_which_table_is_meant(explain):
    assert explain("SELECT ssn FROM people").columns["ssn"][0] == "masked: partial 4"
    for path in ["other, public", ' OTHER ,"public"', "other"]:
        x = explain("SELECT ssn FROM people", "--search-path", path)
        assert x.status == 0 and x.columns == {"ssn": ("as it is", "-")}, path
    x = explain("SELECT ssn FROM people", "--search-path", "nowhere, public")
    assert "not in this database: schema nowhere\n" in x.text
    assert explain("SELECT id FROM mine").status == 0  # "$user" is who the gateway is at the target
    assert explain("SELECT id FROM mine", "--search-path", "public").status == 1
    x = explain("SELECT ssn FROM people", "--search-path", "public,")
    assert x.status == 2 and "no list of schemas" in x.errors and x.text == ""


def test_explain_decides_as_the_gateway_does(explain, test_db, database):
    test_db.sql("INSERT INTO people VALUES (1, 'n', '123-45-6789', 'b')", database=database)
    for sql in ["SELECT ssn FROM people", "SELECT upper(ssn) FROM people", "SELECT count(ssn) FROM people",
                "SELECT DISTINCT ssn FROM people", "SELECT * FROM cards", "SELECT * FROM cards ORDER BY tax_id",
                "SELECT spy()", "SELECT doubled(2)", "SELECT * FROM nowhere", "SELECT ssn::int FROM people",
                "UPDATE people SET name = ssn", "UPDATE people SET ssn = 'x'", "SELECT p FROM people p",
                "COPY people TO STDOUT", "DO $$BEGIN END$$", "SELECT id FROM people WHERE badge = 'b'",
                "UPDATE payments SET id = 1", "not SQL", "CREATE TABLE copy AS SELECT * FROM people"]:
        x = explain(sql)
        done = explain.psql(sql)
        assert (x.status == 0) == (done.returncode == 0), (sql, x.text, done.stderr)
        verdict = explain.gateway.records(type="command_intent", statement=sql)[-1]
        assert x.field("verdict") == verdict["verdict"], sql
        assert x.field("rule") == (verdict.get("rule") or "none"), sql


def test_json_has_the_whole_answer(explain):
    x = explain("SELECT id, ssn FROM people", "--json")
    answer = json.loads(x.text)
    assert x.status == 0 and answer["verdict"] == "modify" and answer["protection"] == "considered"
    assert answer["masked"] == ["public.people.ssn"] and answer["refused"] is None
    assert answer["principal"] == {"subject": "agent-7", "issuer": "local", "groups": ["deploy-agents"]}
    assert answer["demands"][0]["effect"] == "read"
    assert answer["demands"][0]["object"] == {"kind": "relation", "schema": "public", "name": "people"}
    assert answer["statements"] == [{
        "text": "SELECT id, ssn FROM people", "answer": "rows", "more_columns": False, "columns": [
            {"name": "id", "shown": "as it is", "from": []},
            {"name": "ssn", "shown": "masked", "mask": {"kind": "partial", "keep": 4},
             "from": ["public.people.ssn"]}]}]
    assert answer["search_path"] == ["pg_catalog", "app_scram", "public"]
    x = explain("SELECT 1 FROM people WHERE ssn LIKE '1%'", "--json")
    answer = json.loads(x.text)
    assert x.status == 1 and answer["rule"] == "protect"
    assert answer["refused"]["column"] == "public.people.ssn" and "WHERE" in answer["refused"]["use"]
    answer = json.loads(explain("not SQL", "--json").text)
    assert answer["verdict"] == "deny" and answer["demands"] == answer["statements"] == []
    done = explain.gateway.cli("explain", "--as", explain.claims, "--resource", "hr", "--json")
    assert json.loads(done.stdout)["allowed"] == "anything"


def test_a_saved_catalog_serves_without_a_gateway(explain, tmp_path):
    saved = saved_catalog(explain, tmp_path)
    again = tmp_path / "again"
    explain.gateway.cli("catalog", "--resource", "hr", "--output", again)
    assert again.read_bytes() == saved.read_bytes()
    explain.gateway.stop()
    x = explain("SELECT ssn FROM people", "--catalog", saved)
    assert x.status == 0 and x.columns == {"ssn": ("masked: partial 4", "public.people.ssn")}
    assert x.errors == ""
    assert explain("SELECT ssn || '' FROM people", "--catalog", saved).status == 1


def test_without_a_catalog_nothing_is_called_allowed(explain):
    explain.gateway.stop()
    x = explain("SELECT ssn FROM people")
    assert x.status == 2 and x.field("verdict").startswith("undecided: column protection was not considered")
    assert "cannot reach the gateway" in x.errors and "--catalog" in x.errors
    assert re.search(r"^  read +allow ", x.text, re.M)  # facts and rules are shown all the same
    answer = json.loads(explain("SELECT ssn FROM people", "--json").text)
    assert answer["verdict"] == "undecided" and answer["protection"] == "not considered"
    x = explain("DELETE FROM public.payments")
    assert x.status == 1 and x.field("verdict") == "deny"  # whatever protection would say


@pytest.mark.parametrize("harm", ["junk", "empty", "cut", "no file", "folder"])
def test_what_is_no_catalog_is_refused(explain, tmp_path, harm):
    file = saved_catalog(explain, tmp_path)
    if harm == "cut":
        os.truncate(file, file.stat().st_size // 2)
    elif harm == "no file":
        file.unlink()
    elif harm == "folder":
        file = tmp_path
    else:
        file.write_bytes(b"junk" * 1000 if harm == "junk" else b"")
    x = explain("SELECT ssn FROM people", "--catalog", file)
    assert x.status == 2 and x.field("verdict").startswith("undecided")
    assert str(file) in x.errors


def test_a_catalog_that_cannot_be_written_is_an_error(explain, tmp_path):
    done = explain.gateway.cli("catalog", "--resource", "hr", "--output", tmp_path / "no" / "catalog",
                               check=False)
    assert done.returncode == 1 and "cannot write" in done.stderr


def test_a_resource_without_protection_needs_no_catalog(gateway, tmp_path):
    g = gateway({"policies": ALLOW_ALL}, run=False)
    g.write_config()
    claims = tmp_path / "claims.json"
    claims.write_text(json.dumps(CLAIMS))
    done = g.cli("explain", "--as", claims, "--resource", "test", "--sql", "SELECT * FROM t")
    assert "verdict:   allow\n" in done.stdout and done.stderr == ""
    done = g.cli("explain", "--as", claims, "--resource", "test", "--sql", "SELECT 1",
                 "--search-path", "x")
    assert "protects no columns" in done.stderr


def test_the_gateway_records_that_a_catalog_was_given(explain):
    explain("SELECT ssn FROM people")
    record = explain.gateway.records(type="admin_action")[-1]
    assert "catalog_read" in json.dumps(record)


def test_a_bad_pattern_is_found_where_it_is(gateway, test_db, authority):
    g = gateway({"resources": {"hr": resource(test_db, authority, detect=[
        "email", {"name": "ticket", "pattern": "TKT-[0-9"}])}}, run=False)
    g.write_config()
    done = g.cli("check", check=False)
    assert done.returncode == 1
    found = re.search(r"bulkhead\.yaml:(\d+):(\d+): error: detector \"ticket\": (.*) at offset",
                      done.stdout)
    assert found and "missing terminating ]" in found.group(3), done.stdout
    line = g.config_path.read_text().splitlines()[int(found.group(1)) - 1]
    assert line[int(found.group(2)) - 1:].lstrip("'\"").startswith("TKT-")
    done = g.cli("serve", check=False)
    assert done.returncode == 1 and "detector" in done.stderr
