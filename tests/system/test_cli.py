"""The subcommands, as an operator uses them."""
import json
import shutil
import subprocess

import pytest

from harness import machine
from harness.gateway import BULKHEAD


@pytest.fixture
def claims(tmp_path):
    """Writes claims to a file and returns its path."""
    def write(**members):
        path = tmp_path / "claims.json"
        path.write_text(json.dumps({"sub": "agent-7", "iss": "urn:bulkhead:local", **members}))
        return path
    return write


def explain(gateway, path, *more):
    return gateway.cli("explain", "--as", path, "--resource", *more, check=False)


def test_explain_says_that_a_statement_is_allowed_and_by_which_rule(story, claims):
    done = explain(story, claims(groups=["deploy-agents"]), "test", "--sql", "SELECT * FROM t")
    assert done.returncode == 0
    assert "allow" in done.stdout and "migrations" in done.stdout


def test_explain_says_why_a_statement_is_refused(story, claims):
    done = explain(story, claims(groups=["deploy-agents"]), "test", "--sql", "DROP DATABASE x")
    assert done.returncode == 1
    for word in ("deny", "never", "drop-database", "dropping a database is never done by an agent"):
        assert word in done.stdout
    done = explain(story, claims(groups=["readers"]), "test", "--sql", "DELETE FROM t WHERE id = 1")
    assert done.returncode == 1 and "no rule" in done.stdout


def test_explain_decides_as_the_gateway_does(story, claims):
    token = story.token(groups=["readers"])
    path = claims(groups=["readers"])
    for sql in ["SELECT 1", "SELECT pg_read_file('x')", "INSERT INTO t VALUES (1)", "BEGIN",
                "DO $$BEGIN END$$", "SELECT set_config('role', 'x', false)", "not SQL"]:
        done = story.psql(sql, token=token)
        refused = "42501" in done.stderr or "refused" in done.stderr or "Bulkhead" in done.stderr
        refused = refused or done.returncode != 0
        assert (explain(story, path, "test", "--sql", sql).returncode != 0) == refused, sql


def test_explain_without_a_statement_says_what_is_allowed_at_all(story, claims):
    done = explain(story, claims(groups=["deploy-agents"]), "test")
    assert done.returncode == 0 and "read, write, ddl, session" in done.stdout
    assert explain(story, claims(groups=["deploy-agents"]), "production").returncode == 1
    assert explain(story, claims(), "nowhere").returncode == 2


def test_explain_tells_the_limits_and_the_rule_that_has_them(story, claims):
    story.reload({"policies": [
        {"name": "careful", "allow": ["read", "write", "session"],
         "limits": {"rows_per_command": 100, "bytes_per_command": "10MiB", "require_where": True}},
        {"name": "small", "allow": ["read"], "tables": ["app.*"], "limits": {"rows_per_command": 5}}]})
    path = claims(groups=["deploy-agents"])
    done = explain(story, path, "test", "--sql", "SELECT * FROM public.t")
    assert done.returncode == 0
    assert "limits:    rows_per_command 100, bytes_per_command 10MiB, require_where" in done.stdout
    done = explain(story, path, "test", "--sql", "SELECT * FROM app.t")
    assert "limits:    rows_per_command 5, bytes_per_command 10MiB, require_where" in done.stdout
    done = explain(story, path, "test", "--sql", "DELETE FROM app.t")
    assert done.returncode == 1 and "careful" in done.stdout and "limits:" not in done.stdout
    assert 'limit "require_where": UPDATE and DELETE need a WHERE that narrows' in done.stdout
    refused = story.psql("DELETE FROM app.t", token=story.token())
    assert 'limit "require_where"' in refused.stderr and 'rule "careful"' in refused.stderr
    assert story.record(type="command_intent", verdict="deny")["rule"] == "careful"


def test_check_finds_a_mistake_where_it_is(story, tmp_path):
    assert story.cli("check").stdout.startswith("ok: 2 resources")
    text = story.config_path.read_text().replace("listen:", "lisen:")
    broken = tmp_path / "broken.yaml"
    broken.write_text(text)
    line = 1 + text[:text.index("lisen:")].count("\n")
    done = story.cli("check", "--config", broken, check=False)
    assert done.returncode == 1
    assert f"broken.yaml:{line}:1: error: " in done.stdout + done.stderr
    assert "did you mean 'listen'?" in done.stdout + done.stderr


def test_the_audit_shows_follows_and_verifies(story):
    story.psql("SELECT 41 + 1")
    story.record(type="session_closed")
    listed = story.cli("audit", "list", "--type", "command_intent").stdout
    assert "SELECT 41 + 1" in listed and "agent-7" in listed
    session = story.records_now(type="command_intent")[0]["session"]
    shown = story.cli("audit", "show", session).stdout
    assert "SELECT 41 + 1" in shown and "session_opened" in shown and "session_closed" in shown
    lines = story.cli("audit", "list", "--json", "--type", "command_outcome").stdout.splitlines()
    assert [json.loads(line)["rows"] for line in lines] == [1]
    follower = subprocess.Popen([BULKHEAD, "audit", "follow", "--type", "command_intent"],
                                env=story.environment, stdout=subprocess.PIPE, text=True)
    try:
        story.psql("SELECT 'seen by the follower'")
        assert machine.until(lambda: "seen by the follower" in follower.stdout.readline(),
                             "the follower to show the statement")
    finally:
        follower.kill()
        follower.wait()
    assert story.cli("audit", "verify").stdout.startswith("ok: ")


@pytest.mark.parametrize("harm", ["change", "remove a line", "swap lines", "cut the start"])
def test_verify_finds_what_was_done_to_a_copy_of_the_ledger(story, tmp_path, harm):
    story.psql("SELECT 1", "SELECT 2", "SELECT 3")
    story.record(type="session_closed")
    copy = tmp_path / "copy"
    shutil.copytree(story.ledger_folder, copy)
    file = next(copy.glob("*.jsonl"))
    lines = file.read_bytes().splitlines(keepends=True)
    if harm == "change":
        at = next(i for i, line in enumerate(lines) if b"SELECT 2" in line)
        lines[at] = lines[at].replace(b"SELECT 2", b"SELECT 9")
    elif harm == "remove a line":
        del lines[5]
    elif harm == "swap lines":
        lines[5], lines[6] = lines[6], lines[5]
    else:
        del lines[0]
    file.write_bytes(b"".join(lines))
    done = story.cli("audit", "verify", "--directory", copy, check=False)
    assert done.returncode == 1
    assert file.name in done.stdout + done.stderr


def test_a_recorded_control_character_does_not_reach_the_terminal(story):
    story.psql("SELECT '\x1b[31mred\x07'")
    story.record(type="session_closed")
    for command in (["audit", "list"], ["audit", "show", "1"]):
        assert not any(c in story.cli(*command).stdout for c in "\x1b\x07")


def test_a_token_that_may_not_be_is_not_issued(story):
    done = story.cli("token", "issue", "--subject", "x", "--ttl", "2h", check=False)
    assert done.returncode == 1 and "1h" in done.stderr or "3600" in done.stderr
    assert story.cli("token", "issue", check=False).returncode == 2
    assert story.cli("token", "revoke", check=False).returncode == 2
    assert json.loads(story.cli("token", "keys").stdout)["keys"][0]["kty"] == "EC"


def test_commands_without_a_gateway_say_so(gateway):
    stopped = gateway(run=False)
    stopped.write_config()
    for command in (["status"], ["sessions"], ["kill", "00"], ["token", "keys"]):
        done = stopped.cli(*command, check=False)
        assert done.returncode == 1 and "cannot reach the gateway" in done.stderr, command


@pytest.mark.parametrize("command", ["serve", "check", "explain", "token", "audit", "status",
                                     "sessions", "kill", "schema"])
def test_every_command_describes_itself(command):
    done = subprocess.run([BULKHEAD, command, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: bulkhead {command}")
    done = subprocess.run([BULKHEAD, command, "--nonsense"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2 and ("usage: " in done.stderr or "--help" in done.stderr)


@pytest.mark.parametrize("words", [["token", "issue"], ["token", "revoke"], ["audit", "list"]])
def test_help_is_given_after_a_second_word_too(words):
    done = subprocess.run([BULKHEAD, *words, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: bulkhead {words[0]}")
