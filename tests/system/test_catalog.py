"""Reading a target's catalog: a process of its own, through the normal connection to the target."""
import concurrent.futures
import contextlib
import os
import re
import signal
import time

import pytest

import fakepg
from harness import machine
from harness.gateway import ALLOW_ALL, resource


def fields(done):
    return dict(line.split(None, 1) for line in done.stdout.splitlines())


def read(gateway, name="test", database=None, check=True):
    return gateway.cli("catalog", "--resource", name,
                       *(["--database", database] if database else []), check=check)


def test_an_operator_reads_a_catalog(story, test_db, database):
    before = fields(read(story, database=database))
    test_db.sql("CREATE TABLE a (x int, y text); CREATE VIEW v AS SELECT x FROM a;"
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", database=database)
    after = fields(read(story, database=database))
    assert int(after["relations"]) == int(before["relations"]) + 2
    assert int(after["functions"]) == int(before["functions"]) + 1
    assert int(after["bytes"]) > int(before["bytes"])
    assert re.fullmatch(r"[0-9a-f]{16}", after["fingerprint"])
    assert after["fingerprint"] != before["fingerprint"]
    assert fields(read(story, database=database))["fingerprint"] == after["fingerprint"]
    assert story.wait_log(r"catalog_read resource=test database=\"?" + database)


@pytest.mark.parametrize("role, tls", [("app_scram", "verify-full"), ("app_scram", "off"),
                                       ("app_md5", "require"), ("app_password", "verify-ca"),
                                       ("app_trust", "require")])
def test_every_way_to_log_in_works(gateway, test_db, authority, role, tls):
    g = gateway({"resources": {"other": resource(test_db, authority, user=role, tls=tls)}})
    assert int(fields(read(g, "other"))["relations"]) > 100


def test_a_client_certificate_is_used(gateway, test_db, authority):
    g = gateway({"resources": {"other": resource(test_db, authority, user="app_cert")}})
    assert int(fields(read(g, "other"))["relations"]) > 100


def test_what_cannot_be_read_is_said_and_logged(story, test_db):
    done = read(story, "nothing", check=False)
    assert done.returncode == 1 and "there is no resource" in done.stderr
    done = read(story, database="does_not_exist", check=False)
    assert done.returncode == 1 and "does_not_exist" in done.stderr
    story.wait_log(r"catalog_read_failed .*does_not_exist")
    assert story.status()["connections"] == "0"


def test_those_who_ask_together_share_a_reading(story, database):
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        results = list(pool.map(lambda _: fields(read(story, database=database))["fingerprint"], range(12)))
    assert len(set(results)) == 1
    # The first began a reading; the others came before the second.
    assert 1 <= len(re.findall(r"info keeper.* catalog_read resource=", story.log_text())) < 6


def test_many_databases_are_read_one_after_the_other(story, test_db, database):
    names = [f"{database[:40]}_{i}" for i in range(8)]
    for name in names:
        test_db.fresh_database(name)
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda name: read(story, database=name, check=False), names))
        assert all(d.returncode == 0 for d in done), [d.stderr for d in done]
    finally:
        for name in names:
            test_db.sql(f'DROP DATABASE "{name}" WITH (FORCE)', database="postgres")


def test_a_reading_uses_the_credential_in_force(gateway, test_db, authority):
    g = gateway({"resources": {"other": resource(test_db, authority)}})
    good = fields(read(g, "other"))
    g.reload({"resources": {"other": resource(test_db, authority, user="app_md5")}})
    assert fields(read(g, "other"))["fingerprint"] == good["fingerprint"]


def test_a_definition_that_is_locked_is_waited_for_shortly(story, test_db, database):
    test_db.sql("CREATE TABLE a (x int); CREATE VIEW v AS SELECT x FROM a", database=database)
    migration = test_db.connect(database=database)
    migration.cursor().execute("BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
    done = read(story, database=database, check=False)
    assert done.returncode == 1 and "55P03" in done.stderr
    migration.close()
    assert read(story, database=database).returncode == 0


# --- targets that misbehave, played by hand ---

QUERY = fakepg.message(b"C", b"BEGIN\0") + fakepg.message(b"Z", b"T")
STORIES = {
    "refuses": (fakepg.error("ERROR", "42501", "permission denied for table pg_class") +
                fakepg.message(b"Z", b"E"), r"permission denied .*42501"),
    "closes": (None, "closed the connection"),
    "sends other rows": (fakepg.message(b"D", b"\0\1\0\0\0\1x"), "rows"),
    "sends rows unasked": (fakepg.message(b"D", b"\0\0"), "rows"),
    "sends no rows": (QUERY, "not complete"),
    "sends an unknown message": (fakepg.message(b"?", b"abc"), "answers no query"),
    "claims a giant row": (b"D\x3f\xff\xff\xff", "larger than"),
    "sends a negative length": (b"D\xff\xff\xff\xff", "length"),
    "changes the encoding": (fakepg.message(b"S", b"client_encoding\0LATIN1\0"), "client_encoding"),
}


def played(gateway, story):
    target = fakepg.FakePostgres(story)
    return target, gateway({"resources": {"played": {
        "protocol": "postgres", "address": f"localhost:{target.port}", "tls": "off",
        "credential": {"user": "u"}, "database": "d"}}, "policies": ALLOW_ALL}, databases=False)


@pytest.mark.parametrize("name", STORIES)
def test_a_target_that_misbehaves_is_a_clear_error(gateway, name):
    answer, words = STORIES[name]

    def story(peer):
        peer.welcome()
        while peer.message()[0] == b"Q":
            if answer is None:
                return
            peer.send(answer)
    target, g = played(gateway, story)
    with target:
        done = read(g, "played", check=False)
        assert done.returncode == 1 and re.search(words, done.stderr), done.stderr
        assert g.wait_log("catalog_read_failed resource=played")


def readers(gateway):
    """The pids of the processes that read a catalog."""
    children = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            status = open(f"/proc/{pid}/status").read()
            parent = int(re.search(r"PPid:\t(\d+)", status).group(1))
            if status.startswith("Name:\treader\n") and parent in (gateway.process.pid,
                                                                  gateway.pids()["listener"]):
                children.append(int(pid))
    return children


@contextlib.contextmanager
def reading(gateway):
    """A reading that hangs: (gateway, the reader's pid, what comes of the request)."""
    def story(peer):
        peer.welcome()
        peer.message()
        with contextlib.suppress(EOFError):
            peer.read_exactly(1 << 20)
    target, g = played(gateway, story)
    with target, concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(read, g, "played", check=False)
        machine.until(lambda: target.connections, "the reader's connection")
        pid = machine.until(lambda: readers(g), "the reader")[0]
        yield g, pid, future


def is_gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def test_a_reader_is_a_sandboxed_process_with_its_target_and_the_keeper_alone(gateway):
    with reading(gateway) as (g, pid, future):
        status = open(f"/proc/{pid}/status").read()
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
        assert re.search(r"^Seccomp:\t2$", status, re.M)
        assert re.search(r"^CapEff:\t0+$", status, re.M)
        kinds = sorted(re.sub(r"\[.*|.*/", "", os.readlink(f"/proc/{pid}/fd/{fd}"))
                       for fd in os.listdir(f"/proc/{pid}/fd"))
        assert kinds == ["log", "memfd:catalog (deleted)", "socket:", "socket:"]
        os.kill(pid, signal.SIGKILL)
        g.deaths_expected = True
        assert future.result().returncode == 1


def test_stopping_does_not_wait_for_a_reader(gateway):
    with reading(gateway) as (g, pid, future):
        began = time.monotonic()
        assert g.stop() == 0
        assert time.monotonic() - began < 5
        assert future.result().returncode == 1 and is_gone(pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_reader_that_dies_is_a_failed_reading(gateway, how):
    with reading(gateway) as (g, pid, future):
        listener = g.pids()["listener"]
        g.deaths_expected = True
        if how == signal.SIGSEGV:
            g.crash(pid)
        else:
            os.kill(pid, how)
        done = future.result()
        assert done.returncode == 1 and "the process that reads it ended" in done.stderr
        g.wait_log("session_died")
        if how == signal.SIGSEGV: # its layout must not come again
            machine.until(lambda: g.pids()["listener"] not in (None, listener), "another listener")


def test_a_reader_ends_with_the_keeper(gateway):
    with reading(gateway) as (g, pid, future):
        g.kill_service("keeper")
        machine.until(lambda: is_gone(pid), "the reader's end")
        assert future.result().returncode == 1


def test_a_reader_outlives_its_listener(gateway):
    with reading(gateway) as (g, pid, future):
        g.kill_service("listener")
        assert not is_gone(pid) and not future.done()
        assert g.status()["connections"] == "1"
        g.deaths_expected = True
        os.kill(pid, signal.SIGKILL)
        assert future.result().returncode == 1
        machine.until(lambda: g.status()["connections"] == "0", "the supervisor's notice")


# --- sessions ---

PROTECTED = {"resources": {"test": {"protect": [{"columns": ["public.people.ssn"], "mask": "redact"}]}}}


def test_sessions_of_a_database_share_a_catalog_that_follows_it(gateway, test_db, database):
    test_db.sql("CREATE TABLE public.people (ssn text); CREATE TABLE public.other (x int);"
                "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC", database=database)
    g = gateway({**PROTECTED, "policies": ALLOW_ALL})
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        sessions = list(pool.map(lambda _: g.connect(database=database), range(10)))
    for session in sessions:
        session.cursor().execute("SELECT x FROM public.other")
    assert len(re.findall(r"info keeper.* catalog_read ", g.log_text())) == 1
    mapped = {re.search(r"r--s \S+ \S+ (\d+) +/memfd:catalog", line).group(1)
              for session in sessions for line in open(f"/proc/{g.session_pid(session)}/maps")
              if "memfd:catalog" in line}
    assert len(mapped) == 1
    test_db.sql("CREATE TABLE public.newer (y int); GRANT ALL ON public.newer TO PUBLIC", database=database)
    for session in sessions:
        session.cursor().execute("SELECT y FROM public.newer")
        session.close()
    g.wait_log("catalog_read .*database=\"" + database, after=0)


def test_a_session_is_refused_when_the_catalog_cannot_be_read(gateway, test_db, database):
    test_db.sql("CREATE TABLE public.people (ssn text); CREATE VIEW public.v AS SELECT ssn FROM public.people",
                database=database)
    g = gateway({**PROTECTED, "policies": ALLOW_ALL})
    migration = test_db.connect(database=database)
    migration.cursor().execute("BEGIN; LOCK TABLE public.people IN ACCESS EXCLUSIVE MODE")
    done = g.psql("SELECT 1", database=database)
    migration.close()
    assert done.returncode != 0 and "catalog" in done.stderr, done.stderr
    assert g.psql("SELECT 1", database=database).returncode == 0
