"""`bulkhead explain` and `bulkhead check` where humans are asked, or a purpose is."""
import json
import subprocess

import pytest

TARGET = {"protocol": "postgres", "address": "127.0.0.1:5432", "tls": "off",
          "credential": {"user": "app"}}
DBA = {"approvers": {"groups": ["dba"], "subjects": ["anna@example.com"]}, "approvals": 2,
       "reason_required": True, "break_glass": {"groups": ["incident-*"]}}
POLICIES = [
    {"name": "read", "allow": ["read", "session"], "record": {"rows": True, "retention": "365d"}},
    {"name": "writes have a ticket", "commands": ["write"], "defer": "say which ticket"},
    {"name": "schema changes", "commands": ["ddl"], "step_up": DBA},
    {"name": "drops", "commands": ["drop-table"],
     "step_up": {"approvers": {"groups": ["owners"]}, "wait": "90s", "preview": "none",
                 "scope": "for_task", "valid_for": "15m"}},
    {"name": "visits", "who": {"subjects": ["visitor"]}, "on": "connect",
     "step_up": {"approvers": {"groups": ["oncall"]}, "valid_for": "2h"}},
]


@pytest.fixture
def explain(gateway, authority, tmp_path):
    key = tmp_path / "recordings.key"
    public = tmp_path / "recordings.pub"
    g = gateway({"listen": {"console": "127.0.0.1:9443"},
                 "console": {"url": "https://localhost:9443"},
                 "recordings": {"directory": str(tmp_path), "public_key": str(public)},
                 "resources": {"test": TARGET}, "policies": POLICIES}, databases=False, run=False)
    g.write_config()

    def run(*arguments, subject="agent-7"):
        claims = tmp_path / "claims.json"
        claims.write_text(json.dumps({"iss": "urn:bulkhead:local", "sub": subject}))
        done = g.cli("explain", "--as", claims, "--resource", "test", *arguments, check=False)
        return done.returncode, done.stdout
    run.gateway, run.key, run.public = g, key, public
    return run


def lines(text, name):
    """The field's line, and those that go on without a name."""
    found, on = [], False
    for line in text.splitlines():
        on = line.startswith(name + ":") or (on and line.startswith(" " * 11))
        if on:
            found.append(line[11:])
    return found


def test_an_approval_says_who_gives_it_and_how_long_it_takes(explain):
    status, text = explain("--sql", "ALTER TABLE t ADD c int")
    assert status == 1
    assert lines(text, "verdict") == ["step_up"]
    assert lines(text, "rule") == ["schema changes"]
    assert lines(text, "reason") == ["humans are asked first, and it runs when they agree"]
    assert lines(text, "approval") == [
        'by 2 of groups dba or subjects anna@example.com, for rule "schema changes"',
        "waits 10m, 1m in a transaction; an approval serves once; preview estimate; "
        "approvers say why; break-glass by groups incident-*"]


def test_all_rules_that_ask_are_told_in_their_order(explain):
    status, text = explain("--sql", "DROP TABLE t")
    assert status == 1
    assert lines(text, "approval") == [
        'by 2 of groups dba or subjects anna@example.com, for rule "schema changes"',
        "waits 10m, 1m in a transaction; an approval serves once; preview estimate; "
        "approvers say why; break-glass by groups incident-*",
        'and then by 1 of groups owners, for rule "drops"',
        "waits 90s, 1m in a transaction; an approval serves 15m for the task; preview none"]
    answer = json.loads(explain("--sql", "DROP TABLE t", "--json")[1])
    assert answer["verdict"] == "step_up"
    assert answer["approvals"] == [
        {"rule": "schema changes", "approvals": 2, "groups": ["dba"],
         "subjects": ["anna@example.com"], "break_glass_groups": ["incident-*"],
         "reason_required": True, "valid_for_seconds": 0, "wait_seconds": 600,
         "wait_in_transaction_seconds": 60, "scope": "once", "preview": "estimate"},
        {"rule": "drops", "approvals": 1, "groups": ["owners"], "subjects": [],
         "break_glass_groups": [], "reason_required": False, "valid_for_seconds": 900,
         "wait_seconds": 90, "wait_in_transaction_seconds": 60, "scope": "for_task",
         "preview": "none"}]


def test_a_purpose_is_asked_for_until_it_is_said(explain):
    status, text = explain("--sql", "INSERT INTO t VALUES (1)")
    assert status == 1
    assert lines(text, "verdict") == ["defer"] and lines(text, "reason") == ["say which ticket"]
    for arguments, purpose in [
            (["--purpose", "ticket 7", "--sql", "INSERT INTO t VALUES (1)"], "ticket 7"),
            (["--sql", "/* purpose: ticket 8 */ INSERT INTO t VALUES (1)"], "ticket 8"),
            (["--sql", "SET bulkhead.purpose = 'ticket 9'; INSERT INTO t VALUES (1)"], "ticket 9")]:
        status, text = explain(*arguments)
        assert status == 0, text
        assert lines(text, "purpose") == [purpose]
        assert json.loads(explain(*arguments, "--json")[1])["purpose"] == purpose
    assert explain("--purpose", "two\nlines", "--sql", "SELECT 1")[0] == 2
    status, text = explain("--sql", "SET bulkhead.purpose = 7")
    assert status == 1 and "bulkhead.purpose must be set to one constant text" in text


def test_access_to_the_resource_is_told_with_every_answer(explain):
    for arguments in [], ["--sql", "SELECT 1"]:
        status, text = explain(*arguments, subject="visitor")
        assert status == 0
        assert lines(text, "access") == ['opening a session needs access, by rule "visits": '
                                         "granted by 1 of groups oncall, for 2h at most"]
        assert lines(text, "ask") == ["bulkhead request --resource test --for 1h --reason WHY"]
        answer = json.loads(explain(*arguments, "--json", subject="visitor")[1])
        assert answer["access"] == {
            "rule": "visits", "approvals": 1, "groups": ["oncall"], "subjects": [],
            "break_glass_groups": [], "reason_required": False, "valid_for_seconds": 7200}
        assert json.loads(explain(*arguments, "--json")[1])["access"] is None
    assert json.loads(explain("--sql", "SELECT 1", "--json")[1])["records_rows"] is True


def test_check_says_who_is_asked(explain):
    done = explain.gateway.cli("check", check=False)
    assert done.returncode == 1 and "error: cannot read" in done.stdout  # the key of recordings
    for bits, status in ("2048", 1), ("3072", 0):
        for command in [["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt",
                         f"rsa_keygen_bits:{bits}", "-out", explain.key],
                        ["pkey", "-in", explain.key, "-pubout", "-out", explain.public]]:
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        done = explain.gateway.cli("check", check=False)
        assert done.returncode == status, done.stdout
        assert ("has 2048 bits; recordings need 3072 to 8192" in done.stdout) == (status == 1)
    assert done.stdout.splitlines()[-4:] == [
        'policy "writes have a ticket": needs a purpose',
        'policy "schema changes": needs the approval of 2 of groups dba or subjects '
        "anna@example.com, waits 10m, 1m in a transaction; an approval serves once; preview "
        "estimate; approvers say why; break-glass by groups incident-*",
        'policy "drops": needs the approval of 1 of groups owners, waits 90s, 1m in a transaction; '
        "an approval serves 15m for the task; preview none",
        'policy "visits": opening a session needs access granted by 1 of groups oncall, for 2h at '
        "most"]
