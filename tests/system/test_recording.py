"""Recordings: what is in them, who can read them, and what becomes of them."""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess

import psycopg2
import pytest

from harness import gateway as gateways
from harness import machine
from harness.postgres import PASSWORD

SECRET = "recorded-never-4711"
POLICIES = [
    {"name": "rows too", "tables": ["recorded_rows"], "allow": ["all"], "record": {"rows": True, "retention": "90d"}},
    {"name": "no", "tables": ["forbidden"], "deny": "not for agents"},
    {"name": "all", "allow": ["all"]},
]


def make_keys(folder):
    subprocess.run([gateways.BULKHEAD, "recording-key", "--out", folder], check=True, capture_output=True)
    return folder / "recording-public.pem", folder / "recording-private.pem"


class Recorded:
    """A gateway that records, and what is needed to read it back."""

    def __init__(self, gateway, keys):
        self.gateway, (self.public, self.private) = gateway, keys
        self.folder = pathlib.Path(gateway.config["recordings"]["directory"])

    def files(self, session):
        return sorted(self.folder.glob(f"{session}-*.bhrec"))

    def export(self, which, format, check=True, key=None, ledger=False):
        more = ["--ledger", self.gateway.ledger_folder] if ledger else []
        return self.gateway.cli("export", which, "--format", format, "--key", key or self.private,
                                "--recordings", self.folder, *more, check=check)

    def document(self, session):
        return json.loads(self.export(session, "json").stdout)

    def events(self, session, kind=None):
        return [e for e in self.document(session)["events"] if kind in (None, e["kind"])]

    def session_of(self, statement):
        return self.gateway.records(type="command_intent", statement=statement)[-1]["session"]

    def closed(self, statement):
        """The session that ran it, once it is over and its recording is complete."""
        session = self.session_of(statement)
        self.gateway.records(type="session_closed", session=session)
        machine.until(lambda: self.document(session)["complete"], "the recording to be complete")
        return session


@contextlib.contextmanager
def recording_gateway(authority, test_db, changes=None):
    config = gateways.merged({"resources": {"test": gateways.resource(test_db, authority)}, "policies": POLICIES},
                             changes or {})
    gateway = gateways.Gateway(authority, config, {"TARGET_PASSWORD": PASSWORD})
    keys = make_keys(gateway.folder / "keys")
    gateway.config = gateways.merged(gateway.config, {"recordings": {
        "directory": str(gateway.folder / "recordings"), "public_key": str(keys[0])}})
    try:
        yield Recorded(gateway.start(), keys)
    finally:
        gateway.finish()


@pytest.fixture(scope="module")
def recorded(authority, test_db):
    with recording_gateway(authority, test_db) as recorded:
        recorded.token = recorded.gateway.token()
        recorded.gateway.psql("CREATE TABLE IF NOT EXISTS recorded_rows (id int, t text)",
                              "TRUNCATE recorded_rows", "INSERT INTO recorded_rows VALUES (1, 'one'), (2, NULL)",
                              token=recorded.token, check=True)
        yield recorded


def test_a_psql_session_is_recorded_from_its_beginning_to_its_end(recorded):
    done = recorded.gateway.psql("SELECT 'seen' AS a, 2 AS b /* whole */", "TABLE public.forbidden",
                                 token=recorded.token)
    assert "not for agents" in done.stderr
    session = recorded.closed("/* whole */")
    document = recorded.document(session)
    assert document["session"] == session and document["resource"] == "test" and document["protocol"] == "postgres"
    events = document["events"]
    assert [e["n"] for e in events] == list(range(1, len(events) + 1))
    assert all(a["t"] <= b["t"] for a, b in zip(events, events[1:]))
    assert [e["kind"] for e in events] == ["opened", "statement", "columns", "outcome", "statement", "closed"]
    opened, statement, columns, outcome, refused, closed = events
    assert opened["subject"] == "agent-7" and opened["chain"] == ["agent-7"] and opened["client"] == "psql"
    assert statement["text"] == "SELECT 'seen' AS a, 2 AS b /* whole */" and statement["verdict"] == "allow"
    assert "read" in statement["classes"]
    assert columns["columns"] == [{"name": "a", "type": "text", "oid": 25}, {"name": "b", "type": "integer", "oid": 23}]
    assert outcome["rows"] == 1 and outcome["error"] is None and outcome["duration_ms"] > 0
    assert refused["verdict"] == "deny" and refused["rule"] == "no" and refused["message"] == "not for agents"
    assert closed["reason"] == "ended"


def test_rows_are_recorded_only_where_a_rule_says_so(recorded):
    recorded.gateway.psql("SELECT 'value-4712' /* bare */", "SELECT * FROM recorded_rows ORDER BY id /* bare */",
                          token=recorded.token, check=True)
    session = recorded.closed("/* bare */")
    rows = recorded.events(session, "rows")
    assert len(rows) == 1 and rows[0]["rows"] == [["1", "one"], ["2", None]]
    assert "value-4712" not in json.dumps([e for e in recorded.events(session) if e["kind"] != "statement"])


def test_rows_of_every_way_to_ask_are_recorded_as_they_were_delivered(recorded):
    connection = recorded.gateway.connect(token=recorded.token)
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("DECLARE c CURSOR FOR SELECT id, t FROM recorded_rows ORDER BY id /* ways */")
        cursor.execute("FETCH 1 FROM c")
        cursor.execute("COMMIT")
        cursor.copy_expert("COPY recorded_rows TO STDOUT /* ways */", open(os.devnull, "w"))
    connection.close()
    session = recorded.closed("/* ways */")
    rows = [e for e in recorded.events(session, "rows")]
    assert [r["rows"] for r in rows if r.get("copy")] == [[["1\tone"], ["2\t\\N"]]]


def test_nothing_is_in_the_file_in_clear_and_the_gateway_cannot_read_it(recorded, tmp_path):
    recorded.gateway.psql(f"SELECT '{SECRET}' /* clear */", token=recorded.token, check=True)
    session = recorded.closed("/* clear */")
    files = recorded.files(session)
    assert files and all(SECRET.encode() not in f.read_bytes() for f in files)
    # All that the gateway has of keys is the public one.
    done = recorded.export(session, "json", check=False, key=recorded.public)
    assert done.returncode == 1 and "private key" in done.stderr and SECRET not in done.stdout
    other = make_keys(tmp_path / "other")[1]
    done = recorded.export(session, "json", check=False, key=other)
    assert done.returncode == 1 and "is for the key" in done.stderr and SECRET not in done.stdout


def test_replay_shows_the_session_and_no_control_character_of_it(recorded):
    recorded.gateway.psql("SELECT E'a\\x1b[31mb' AS \"x\x1b[2J\" FROM recorded_rows /* film */", token=recorded.token,
                          check=True)
    session = recorded.closed("/* film */")
    shown = recorded.gateway.cli("replay", session, "--key", recorded.private, "--recordings", recorded.folder).stdout
    assert "app=> SELECT E'a\\x1b[31mb' AS" in shown and "(2 rows" in shown and "-- closed: ended" in shown
    assert "\\x1b[2J" in shown and "\x1b" not in shown
    later = recorded.gateway.cli("replay", recorded.files(session)[0], "--key", recorded.private, "--from", "3600").stdout
    assert "SELECT" not in later


def test_replay_in_a_terminal_goes_in_time_and_obeys_keys(recorded):
    recorded.gateway.psql("SELECT 'terminal'", "SELECT pg_sleep(2)", "SELECT 'terminal, later'", token=recorded.token,
                          check=True)
    session = recorded.closed("'terminal, later'")
    import pty
    master, slave = pty.openpty()
    player = subprocess.Popen([gateways.BULKHEAD, "replay", session, "--key", recorded.private, "--recordings",
                               recorded.folder, "--speed", "8"], stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    os.write(master, b" ")  # pause: it would end by itself otherwise
    with contextlib.suppress(OSError):
        while b"terminal" not in seen or player.poll() is None:
            os.write(master, b"q") if b"agent-7" in seen else None
            piece = os.read(master, 4096)
            if not piece:
                break
            seen += piece
    assert player.wait(timeout=machine.PATIENCE) == 0
    assert b"agent-7" in seen and b"terminal, later" not in seen
    os.close(master)


def test_an_asciicast_is_one(recorded):
    recorded.gateway.psql("SELECT 'cast'", token=recorded.token, check=True)
    session = recorded.closed("'cast'")
    lines = recorded.export(session, "asciicast").stdout.splitlines()
    header = json.loads(lines[0])
    assert header["version"] == 3 and header["term"]["cols"] > 0 and header["timestamp"] > 1e9
    events = [json.loads(line) for line in lines[1:] if not line.startswith("#")]
    assert all(len(e) == 3 and e[0] >= 0 and e[1] in "ox" for e in events) and events[-1][1] == "x"
    assert "SELECT 'cast'" in "".join(e[2] for e in events)


def test_the_script_can_be_run_again(recorded, test_db):
    token = recorded.token
    connection = recorded.gateway.connect(token=token)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE again (id int, t text) /* again */")
        cursor.execute("INSERT INTO again VALUES (1, 'it''s'), (2, E'back\\\\slash') -- comment")
        with pytest.raises(psycopg2.Error):
            cursor.execute("INSERT INTO again VALUES ('no number')")
    connection.close()
    import pgraw
    client = pgraw.RawClient(recorded.gateway.port, "test", token)
    client.send(pgraw.parse("", "INSERT INTO again VALUES ($1::int, $2) /* again bound */") +
                pgraw.bind("", "", ["3", "bo'und"]) + pgraw.execute("") + pgraw.SYNC)
    list(client.until_ready())
    client.close()
    scripts = [recorded.export(recorded.closed(mark), "sql").stdout for mark in ("/* again */", "/* again bound */")]
    assert "no number" not in "".join(scripts)
    recorded.gateway.psql("DROP TABLE again", token=token, check=True)
    for script in scripts:
        recorded.gateway.psql(stdin=script, token=token, check=True)
    found = recorded.gateway.psql("SELECT id, t FROM again ORDER BY id", token=token, check=True,
                                  arguments=["-At"]).stdout.splitlines()
    assert found == ["1|it's", "2|back\\slash", "3|bo'und"]
    recorded.gateway.psql("DROP TABLE again", token=token, check=True)


def test_chunks_are_anchored_and_a_changed_one_is_found(recorded, tmp_path):
    recorded.gateway.psql("SELECT 'anchored'", token=recorded.token, check=True)
    session = recorded.closed("'anchored'")
    anchors = recorded.gateway.records(type="recording", session=session)
    assert anchors[-1]["last"] and all(re.fullmatch("[0-9a-f]{64}", a["sha256"]) for a in anchors)
    assert "are as the ledger says" in recorded.export(session, "json", ledger=True).stderr
    # Changed, cut, or replaced as a whole by one that was made with the public key: all found.
    original = recorded.files(session)[0].read_bytes()
    copy = tmp_path / recorded.files(session)[0].name
    for damaged in (original[:-1] + bytes([original[-1] ^ 1]), original[:-40]):
        copy.write_bytes(damaged)
        done = recorded.export(copy, "json", check=False, ledger=True)
        assert done.returncode == 1 and re.search("changed|missing", done.stderr), done.stderr


def test_what_happened_is_in_the_file_within_a_second_or_so(recorded):
    connection = recorded.gateway.connect(token=recorded.token)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'soon there'")
    session = recorded.session_of("'soon there'")

    def there():
        done = recorded.export(session, "json", check=False)
        return done.returncode == 0 and "soon there" in done.stdout and json.loads(done.stdout)["complete"] is False
    machine.until(there, "the open session's recording to hold what was done", timeout=10)
    connection.close()


def test_a_session_that_is_killed_leaves_a_whole_recording(recorded):
    connection = recorded.gateway.connect(token=recorded.token)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'killed soon'")
    recorded.gateway.crash_made = recorded.gateway.deaths_expected = True
    os.kill(recorded.gateway.session_pid(connection), signal.SIGKILL)
    session = recorded.closed("'killed soon'")
    events = recorded.events(session)
    assert events[-1]["kind"] == "closed" and events[-1]["reason"] != "ended"
    assert "killed soon" in json.dumps(events)


def test_a_ledger_that_dies_leaves_a_readable_prefix_and_goes_on_in_another_file(authority, test_db):
    with recording_gateway(authority, test_db) as recorded:
        connection = recorded.gateway.connect()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'before it died'")
        session = recorded.session_of("'before it died'")
        recorded.gateway.records(type="recording", session=session)
        recorded.gateway.kill_service("ledger")
        recorded.gateway.records(type="session_closed", session=session)
        machine.until(lambda: recorded.document(session)["complete"], "its last segment to be complete")
        assert len(recorded.files(session)) == 2
        first = recorded.export(recorded.files(session)[0], "json")
        assert "cut off" in first.stderr and json.loads(first.stdout)["complete"] is False
        assert "before it died" in first.stdout
        events = recorded.events(session)
        assert [e["kind"] for e in events if e["kind"] in ("opened", "closed")] == ["opened", "opened", "closed"]
        assert "are as the ledger says" in recorded.export(session, "json", ledger=True).stderr


def test_masked_values_are_never_in_a_recording(authority, test_db):
    protect = {"resources": {"test": {"protect": [
        {"columns": ["public.recorded_people.secret"], "mask": "redact"}]}}}
    policies = [{"name": "all", "allow": ["all"], "record": {"rows": True}}]
    test_db.sql("DROP TABLE IF EXISTS recorded_people", "CREATE TABLE recorded_people (id int, secret text)",
                f"INSERT INTO recorded_people VALUES (1, '{SECRET}')", "GRANT ALL ON recorded_people TO PUBLIC")
    with recording_gateway(authority, test_db, {**protect, "policies": policies}) as recorded:
        token = recorded.gateway.token()
        done = recorded.gateway.psql("SELECT id, secret FROM recorded_people /* masked */", token=token, check=True)
        assert SECRET not in done.stdout
        session = recorded.closed("/* masked */")
        events = recorded.events(session)
        assert len([e for e in events if e["kind"] == "rows"]) == 1
        assert SECRET not in json.dumps(events)


def test_a_million_rows_are_recorded_in_bounded_memory(authority, test_db):
    with recording_gateway(authority, test_db, {"policies": [
            {"name": "all", "allow": ["all"], "record": {"rows": True}}]}) as recorded:
        recorded.gateway.psql("SELECT g, 'row ' || g FROM generate_series(1, 1000000) g /* million */",
                              token=recorded.gateway.token(ttl="1h"), check=True, arguments=["-o", os.devnull])
        session = recorded.closed("/* million */")
        ledger = recorded.gateway.pids()["ledger"]
        peak = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{ledger}/status").read_text())
        assert int(peak.group(1)) < 300 * 1024
        script = recorded.gateway.cli("export", session, "--format", "json", "--key", recorded.private,
                                      "--recordings", recorded.folder).stdout
        events = json.loads(script)["events"]
        rows = [row for e in events if e["kind"] == "rows" for row in e["rows"]]
        assert len(rows) == 1000000 and rows[0] == ["1", "row 1"] and rows[-1] == ["1000000", "row 1000000"]


def test_without_a_directory_nothing_is_recorded(story):
    story.psql("SELECT 1", check=True)
    assert not story.records_now(type="recording")
