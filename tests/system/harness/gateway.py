"""A gateway under test: its configuration, the process, its clients and its ledger."""
import copy
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import psycopg2
import yaml

from . import machine

BULKHEAD = pathlib.Path(os.environ.get("BULKHEAD", machine.ROOT / "build" / "bulkhead")).resolve()
SANITIZER_REPORT = re.compile(
    r"AddressSanitizer|UndefinedBehaviorSanitizer|LeakSanitizer|runtime error: ")
SERVICES = ("listener", "keeper", "ledger", "control")

# The rules that gateways have unless a test says otherwise.
STORY_POLICIES = [
    {"name": "migrations", "who": {"groups": ["deploy-agents"]},
     "resources": {"labels": {"env": "test"}}, "allow": ["read", "write", "ddl", "session"]},
    {"name": "readers read", "who": {"groups": ["readers"]}, "allow": ["read", "session"]},
    {"name": "never", "commands": ["drop-database"],
     "deny": "dropping a database is never done by an agent"},
]
# Who may do what in the console.
ROLES = {"admin": ["admins"], "auditor": ["auditors"], "viewer": ["viewers"]}
ALLOW_ALL = [{"name": "everything", "allow": ["all"]}]


class _WithoutAliases(yaml.SafeDumper):
    """Writes out what is used twice: the gateway does not take aliases."""

    def ignore_aliases(self, data):
        return True


def merged(base, changes):
    """`base` with `changes`: mappings are merged, None takes a key away, all else replaces."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def resource(target, authority, user="app_scram", env="test", **changes):
    """A resource for a Postgres (harness/postgres.py): by TLS, verified."""
    base = {"protocol": "postgres", "address": f"{target.host}:{target.port}", "tls": "verify-full",
            "ca": str(authority.ca), "database": "app", "labels": {"env": env},
            "credential": {"user": user, "password": {"env": "TARGET_PASSWORD"}}}
    if user == "app_cert":
        base["credential"] = {"user": user, "certificate": str(target.client_certificate),
                              "key": str(target.client_key)}
    return merged(base, changes)


class Gateway:
    """`port` is where clients connect, `log` the path of its log, `config` its configuration."""

    host = "localhost"

    def __init__(self, authority, config, environment, console=False):
        self.authority = authority
        self.folder = machine.short_folder("bh-gw-")
        self.port = machine.free_port()
        self.console_port = machine.free_port() if console else None
        self.console_url = f"https://localhost:{self.console_port}"
        self.config_path = self.folder / "bulkhead.yaml"
        self.ledger_folder = self.folder / "ledger"
        self.log = self.folder / "log"
        self.process = None
        self.was_ready = False
        self.environment = {**os.environ, **environment, "BULKHEAD_CONFIG": str(self.config_path)}
        # Set by tests that kill processes, or that provoke their end, on purpose.
        self.deaths_expected = False
        self.crash_made = False
        self._read = {}  # ledger file -> (bytes parsed, records)
        certificate, key = authority.issue("gateway", ["localhost", "127.0.0.1"],
                                           filename=f"gateway-{self.port}")
        self.config = merged({
            "listen": {"postgres": f"127.0.0.1:{self.port}"},
            "tls": {"certificate": str(certificate), "key": str(key)},
            "local_issuer": {"enabled": True, "max_ttl": "1h"},
            "resources": {},
            "policies": STORY_POLICIES,
            "state": str(self.folder / "state"),
            "runtime": str(self.folder / "run"),
            "ledger": {"directory": str(self.ledger_folder), "min_free": "0B"},
            "drain": "2s",
        }, config)
        if console:
            self.config = merged({"listen": {"console": f"127.0.0.1:{self.console_port}"},
                                  "console": {"url": self.console_url, "roles": ROLES}}, self.config)
        for name in ("state", "run", "ledger"):
            (self.folder / name).mkdir(mode=0o700)

    # --- the process ---------------------------------------------------------------------------

    def write_config(self, changes=None, text=None):
        """Changes the file, not yet the running gateway: for that reload()."""
        self.config = merged(self.config, changes or {})
        if text is None:
            text = yaml.dump(self.config, Dumper=_WithoutAliases, sort_keys=False)
        self.config_path.write_text(text)

    def start(self):
        self.write_config()
        seen = len(self.log_text())
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [BULKHEAD, "serve", "--config", self.config_path], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=self.environment, start_new_session=True)

        def ready():
            assert self.process.poll() is None, f"bulkhead serve ended:\n{self.log_text()}"
            return " ready " in self.log_text()[seen:] or '"event":"ready"' in self.log_text()[seen:]
        machine.until(ready, f"the gateway to be ready; see {self.log}")
        self.was_ready = True
        return self

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_log(self, pattern, timeout=machine.PATIENCE, after=0):
        """Waits for a regular expression in the log (from character `after` on); the match."""
        return machine.until(lambda: re.search(pattern, self.log_text()[after:]),
                             f"/{pattern}/ in the log:\n{self.log_text()[-3000:]}", timeout)

    def reload(self, changes=None, text=None, expect="configured"):
        """Writes the changed configuration, sends SIGHUP and waits until it took effect, or with
        expect="reload_failed" until it was refused. Returns the log's text since."""
        self.write_config(changes, text)
        before = len(self.log_text())
        self.process.send_signal(signal.SIGHUP)
        self.wait_log(rf"\b{expect}\b", after=before)
        if expect == "configured":
            # Then the listener is executed anew, to listen as the new configuration says.
            self.wait_log(r"\bstarted service=listener", after=before)
        return self.log_text()[before:]

    def stop(self, how=signal.SIGTERM, timeout=machine.PATIENCE):
        """Ends it and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"the gateway did not end:\n{self.log_text()[-5000:]}") from None

    def finish(self):
        """The end of a test: it must stop in order, and have nothing to hide."""
        try:
            if self.was_ready:
                was_running = self.process.poll() is None
                status = self.stop()
                assert status == 0 or not was_running, \
                    f"exit status {status}:\n{self.log_text()[-5000:]}"
                self.verify()
            text = self.log_text()
            report = SANITIZER_REPORT.search(text)
            assert self.crash_made or not report, f"a sanitizer's report:\n{text[max(0, report.start() - 500):][:8000]}"
            died = re.search(r".* (session_died|died) service=.*", text)
            assert self.deaths_expected or not died, f"{died.group()}\n{text[-5000:]}"
        finally:
            if self.process is not None and self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.remove_unless_asked()

    def remove_unless_asked(self):
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def pids(self):
        """{"listener": pid, "keeper": pid, "ledger": pid}; None while one is not running."""
        status = self.status()
        return {name: int(m.group(1)) if (m := re.search(r"pid (\d+)", status.get(name, "")))
                else None for name in SERVICES}

    def kill_service(self, name, how=signal.SIGKILL):
        """Kills it and waits until another runs in its place; its pid."""
        self.deaths_expected = True
        old = self.pids()[name]
        os.kill(old, how)

        def replaced():
            new = self.pids()[name]
            return new if new not in (None, old) else None
        return machine.until(replaced, f"{name} to be started again")

    def crash(self, pid):
        """Makes a process crash; in a sanitized build that is reported, and ends with SIGABRT."""
        self.deaths_expected = self.crash_made = True
        os.kill(pid, signal.SIGSEGV)

    def session_pid(self, connection):
        """The process that serves a client: the one with the other end of its connection."""
        local = connection.info.socket if hasattr(connection, "info") else connection.fileno()
        with socket.socket(fileno=os.dup(local)) as s:
            client = s.getsockname()
        return machine.until(lambda: _owner_of(client[1], self.port), "the session's process")

    # --- the command line ----------------------------------------------------------------------

    def cli(self, *arguments, check=True, token=None, **options):
        """Runs `bulkhead …` with this gateway's configuration; with `token`, as whoever has it."""
        environment = self.environment if token is None else \
            {**self.environment, "BULKHEAD_TOKEN": token, "BULKHEAD_URL": self.console_url}
        done = subprocess.run([BULKHEAD, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, env=environment, check=False,
                              timeout=machine.PATIENCE * 2, **options)
        assert not check or done.returncode == 0, f"{arguments}: {done.stderr}{done.stdout}"
        return done

    def status(self):
        """`bulkhead status` as a dictionary; "listening" is a list."""
        result = {"listening": []}
        for line in self.cli("status").stdout.splitlines():
            key, _, value = line.partition(" ")
            if key == "listening":
                result[key].append(value.strip())
            else:
                result[key] = value.strip()
        return result

    def sessions(self):
        return [json.loads(line) for line in self.cli("sessions", "--json").stdout.splitlines()]

    def token(self, subject="agent-7", groups=("deploy-agents",), resources=(), ttl="15m",
              actors=()):
        """A token of the gateway's local issuer; `actors` act for the subject, each for the one
        before."""
        arguments = ["--subject", subject, "--ttl", ttl]
        for actor in actors:
            arguments += ["--actor", actor]
        for group in groups:
            arguments += ["--group", group]
        for name in resources:
            arguments += ["--resource", name]
        return self.cli("token", "issue", *arguments).stdout.strip()

    # --- clients -------------------------------------------------------------------------------

    def parameters(self, resource="test", token=None, database="app", **changes):
        """libpq's connection parameters. `token` None: one of the local issuer."""
        parameters = {"host": self.host, "hostaddr": "127.0.0.1", "port": self.port,
                      "user": resource, "password": self.token() if token is None else token,
                      "dbname": database, "sslmode": "verify-full",
                      "sslrootcert": str(self.authority.ca), "connect_timeout": 30, **changes}
        return {key: value for key, value in parameters.items() if value is not None}

    def connect(self, resource="test", token=None, database="app", autocommit=True, **changes):
        """A psycopg2 connection through the gateway."""
        connection = psycopg2.connect(**self.parameters(resource, token, database, **changes))
        if not connection.async_:
            connection.autocommit = autocommit
        return connection

    def psql(self, *sql, resource="test", token=None, database="app", arguments=(), stdin=None,
             check=False, **changes):
        """Stock psql: each of `sql` as one -c, or a script on standard input. The completed
        process; psql prints an error's SQLSTATE, DETAIL and HINT."""
        parameters = self.parameters(resource, token, database, **changes)
        password = parameters.pop("password")
        command = ["psql", "--no-psqlrc", "--set=VERBOSITY=verbose", "--set=ON_ERROR_STOP=1",
                   *arguments]
        for statement in sql:
            command += ["-c", statement]
        command.append(" ".join(f"{k}='{v}'" for k, v in parameters.items()))
        done = subprocess.run(command, input=stdin if stdin is not None else "", text=True,
                              capture_output=True, check=False, timeout=machine.PATIENCE * 2,
                              env={**os.environ, "PGPASSWORD": password})
        assert not check or done.returncode == 0, done.stderr
        return done

    def socket(self, timeout=machine.PATIENCE):
        """A plain TCP connection, for those who speak the protocol by hand."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    # --- the ledger ----------------------------------------------------------------------------

    def records_now(self, **match):
        """The records that are in the ledger's files now and have these members."""
        found = []
        for path in sorted(self.ledger_folder.glob("*.jsonl")):
            done, records = self._read.get(path, (0, []))
            with path.open("rb") as f:
                f.seek(done)
                tail = f.read()
            whole = tail[:tail.rfind(b"\n") + 1]
            records += [json.loads(line) for line in whole.splitlines()]
            self._read[path] = (done + len(whole), records)
            found += records
        return [r for r in found if all(_has(r, key, value) for key, value in match.items())]

    def records(self, count=1, timeout=machine.PATIENCE, **match):
        """Waits until at least `count` records match, and returns all that do. `match`: type="…",
        session="…", verdict="…"; a callable is asked; `statement` may be a part of the text."""
        return machine.until(lambda: len(r := self.records_now(**match)) >= count and r or None,
                             f"{count} ledger records {match}", timeout) if count else \
            self.records_now(**match)

    def record(self, **match):
        """Waits for exactly one record."""
        records = self.records(**match)
        assert len(records) == 1, records
        return records[0]

    def verify(self):
        """The ledger's chain must hold; what `audit verify` said."""
        return self.cli("audit", "verify").stdout


def _has(record, key, value):
    have = record.get(key)
    if callable(value):
        return value(have)
    if key == "statement" and isinstance(value, str):
        return isinstance(have, str) and value in have
    return have == value


def _owner_of(client_port, gateway_port):
    """The pid that has the socket of the accepted connection gateway_port <- client_port."""
    inode = None
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(f.split(":")[1], 16) for f in fields[1:3])
        if (local, remote) == (gateway_port, client_port):
            inode = fields[9]
    if inode is None:
        return None
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            for fd in (process / "fd").iterdir():
                if os.readlink(fd) == f"socket:[{inode}]":
                    return int(process.name)
        except OSError:
            continue
    return None


def closed_within(connection_socket, seconds=machine.PATIENCE):
    """Reads until the peer closes; (bytes read, seconds it took)."""
    begun, data = time.monotonic(), b""
    connection_socket.settimeout(seconds)
    try:
        while piece := connection_socket.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data, time.monotonic() - begun
