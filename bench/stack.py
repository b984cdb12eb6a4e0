"""A throw-away PostgreSQL and the ways to reach it, on free ports of 127.0.0.1."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BULKHEAD = pathlib.Path(os.environ.get("BULKHEAD") or
                        ROOT / os.environ.get("BUILD", "build") / "bulkhead").resolve()
USER = "bench"
# Resources of the gateway besides the plain one: a protected column, detectors, both and limits.
RESOURCES = ("masked", "detecting", "guarded")
DETECTORS = "[email, phone, us-ssn, card, iban, jwt, private-key, cloud-key, ipv4, ipv6]"
START_SECONDS = 20

POSTGRESQL_CONF = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 1300
shared_buffers = 256MB
fsync = off
autovacuum = off
jit = off
max_parallel_workers_per_gather = 0
ssl = on
ssl_cert_file = '{folder}/tls.crt'
ssl_key_file = '{folder}/tls.key'
"""

PGBOUNCER_INI = """
[databases]
* = host=127.0.0.1 port={target}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = session
default_pool_size = 100
client_tls_sslmode = allow
client_tls_cert_file = {folder}/tls.crt
client_tls_key_file = {folder}/tls.key
log_connections = 0
log_disconnections = 0
ignore_startup_parameters = extra_float_digits
"""

HAPROXY_CFG = """
global
  nbthread 2
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen postgres
  bind 127.0.0.1:{port}
  server target 127.0.0.1:{target}
"""

# Two policies of the usual kind, so that a decision is a real one.
BULKHEAD_YAML = """
listen: {{postgres: "127.0.0.1:{port}"}}
tls: {{certificate: {folder}/tls.crt, key: {folder}/tls.key}}
local_issuer: {{enabled: true, max_ttl: 8h}}
state: {folder}/state
runtime: {folder}/runtime
ledger: {{directory: {folder}/ledger}}
drain: 0s
postgres: {{cleartext_on_loopback: true}}
resources:
  bench: {{protocol: postgres, address: "127.0.0.1:{target}", tls: "off",
           database: bench, credential: {{user: bench}}}}
  masked: {{protocol: postgres, address: "127.0.0.1:{target}", tls: "off", database: bench,
            credential: {{user: bench}}, protect: [{{columns: [people.ssn], mask: redact}}]}}
  detecting: {{protocol: postgres, address: "127.0.0.1:{target}", tls: "off", database: bench,
               credential: {{user: bench}}, detect: {detectors}}}
  guarded: {{protocol: postgres, address: "127.0.0.1:{target}", tls: "off", database: bench,
             credential: {{user: bench}}, detect: {detectors},
             protect: [{{columns: [people.ssn], mask: redact}}]}}
policies:
  - {{name: benchmarks, who: {{groups: [bench]}}, allow: [read, write, session]}}
  - {{name: limited, resources: {{names: [guarded]}}, allow: [read, write, session],
      limits: {{rows_per_command: 1000000000, require_where: true}}}}
  - {{name: never, commands: [drop-database], deny: "not here"}}
"""


# The same with everything that a human in the loop needs: control with its console, rules that
# hold DDL for approval, and a recording of each session.
APPROVALS_YAML = """
listen: {{postgres: "127.0.0.1:{port}", console: "127.0.0.1:{console}"}}
tls: {{certificate: {folder}/tls.crt, key: {folder}/tls.key}}
local_issuer: {{enabled: true, max_ttl: 8h}}
console: {{url: "https://127.0.0.1:{console}", roles: {{admin: [dba]}}}}
recordings: {{directory: {folder}/approvals/recordings, public_key: {folder}/recording.pub}}
state: {folder}/approvals/state
runtime: {folder}/approvals/runtime
ledger: {{directory: {folder}/approvals/ledger}}
limits: {{connections: 1300, unauthenticated_per_source: 128}}
drain: 0s
postgres: {{cleartext_on_loopback: true}}
resources:
  bench: {{protocol: postgres, address: "127.0.0.1:{target}", tls: "off",
           database: bench, credential: {{user: bench}}}}
policies:
  - {{name: benchmarks, who: {{groups: [bench]}}, allow: [read, write, session]}}
  - {{name: schema changes need a human, commands: [ddl],
      step_up: {{approvers: {{groups: [dba]}}, wait: 1h}}}}
  - {{name: never, commands: [drop-database], deny: "not here"}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Path:
    """One way to the server. `pid` is the proxy's first process, None without a proxy; `ledger`
    the folder of its records, None without records."""

    def __init__(self, name, port, pid=None, password="", ledger=None, user=USER):
        self.name, self.port, self.pid, self.password = name, port, pid, password
        self.ledger, self.user = ledger, user

    def conninfo(self, tls):
        return (f"host=127.0.0.1 port={self.port} user={self.user} dbname={USER} "
                f"sslmode={'require' if tls else 'disable'}")

    def records(self):
        """How many records its ledger has."""
        if self.ledger is None:
            return 0
        last = max(self.ledger.glob("*.jsonl"), key=lambda p: p.name)
        with open(last, "rb") as f:
            f.seek(max(0, f.seek(0, os.SEEK_END) - (64 << 10)))
            lines = f.read().rpartition(b"\n")[0].split(b"\n")
        return int(lines[-1].partition(b'"seq":')[2].partition(b",")[0])


class Stack:
    """Use it in a `with`; `paths` by name. Ends all that it started."""

    def __init__(self):
        self.account = {"user": "postgres", "group": "postgres", "extra_groups": []} \
            if os.geteuid() == 0 else {}
        self.processes = []
        self.paths = {}
        self.folder = None

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
        self.folder.chmod(0o755)
        self.log = open(self.folder / "log", "wb")
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGINT)  # PostgreSQL: fast shutdown
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()
        shutil.rmtree(self.folder)

    def _run(self, *command, **more):
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                              cwd=self.folder, check=False, **self.account, **more)
        if done.returncode != 0:
            raise SystemExit(f"{command[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def _start(self, port, *command):
        process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL,
                                   stdout=self.log, stderr=self.log, cwd=self.folder,
                                   **self.account)
        self.processes.append(process)
        deadline = time.monotonic() + START_SECONDS
        while not is_open(port):
            if process.poll() is not None or time.monotonic() > deadline:
                self.log.flush()
                raise SystemExit(f"{command[0]} does not start:\n"
                                 + (self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)
        return process.pid

    def _write(self, name, template, **values):
        path = self.folder / name
        path.write_text(template.format(folder=self.folder, **values))
        path.chmod(0o644)
        return path

    def _start_all(self):
        if self.account:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                  "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                  "-keyout", "tls.key", "-out", "tls.crt")
        target = self._start_postgres()
        self.paths["direct"] = Path("direct", target)
        for name, start in (("pgbouncer", self._start_pgbouncer), ("haproxy", self._start_haproxy),
                            ("bulkhead", self._start_bulkhead)):
            self.paths[name] = start(free_port(), target)
        self.paths["approvals"] = self._start_approvals(free_port(), target)
        plain = self.paths["bulkhead"]
        for name in RESOURCES:  # the same gateway, by another resource
            self.paths[name] = Path(name, plain.port, plain.pid, plain.password, plain.ledger, name)

    def _start_postgres(self):
        port = free_port()
        programs = pathlib.Path(os.environ.get("PGBIN", "/usr/lib/postgresql/15/bin"))
        data = self.folder / "data"
        self._run(programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync")
        with open(data / "postgresql.conf", "a", encoding="utf-8") as f:
            f.write(POSTGRESQL_CONF.format(port=port, folder=self.folder))
        self._start(port, programs / "postgres", "-D", data)
        login = ["-h", "127.0.0.1", "-p", port, "-U", USER]
        for _ in range(100):  # the port is open a moment before it answers
            if subprocess.run(["pg_isready", "-q", *map(str, login)], check=False).returncode == 0:
                break
            time.sleep(0.1)
        self._run("createdb", *login, USER)
        self._run("pgbench", "-i", "-q", "-s", "10", *login, USER)
        return port

    def _start_pgbouncer(self, port, target):
        self._write("users.txt", f'"{USER}" ""\n')
        config = self._write("pgbouncer.ini", PGBOUNCER_INI, port=port, target=target)
        return Path("pgbouncer", port, self._start(port, "/usr/sbin/pgbouncer", "-q", config))

    def _start_haproxy(self, port, target):
        config = self._write("haproxy.cfg", HAPROXY_CFG, port=port, target=target)
        return Path("haproxy", port, self._start(port, "/usr/sbin/haproxy", "-db", "-f", config))

    def _start_bulkhead(self, port, target):
        config = self._write("bulkhead.yaml", BULKHEAD_YAML, port=port, target=target,
                             detectors=DETECTORS)
        pid = self._start(port, BULKHEAD, "serve", "--config", config)
        return Path("bulkhead", port, pid, self._token(config, USER, "bench"),
                    self.folder / "ledger")

    def _token(self, config, subject, group):
        return self._run(BULKHEAD, "token", "issue", "--subject", subject, "--group", group,
                         "--ttl", "8h", "--config", config).strip()

    def _start_approvals(self, port, target):
        (self.folder / "approvals").mkdir()
        if self.account:
            shutil.chown(self.folder / "approvals", "postgres", "postgres")
        self._run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072",
                  "-out", "recording.key")
        self._run("openssl", "pkey", "-in", "recording.key", "-pubout", "-out", "recording.pub")
        console = free_port()
        config = self._write("approvals.yaml", APPROVALS_YAML, port=port, target=target,
                             console=console)
        pid = self._start(port, BULKHEAD, "serve", "--config", config)
        path = Path("approvals", port, pid, self._token(config, USER, "bench"),
                    self.folder / "approvals" / "ledger")
        path.console_port, path.approver = console, self._token(config, "ada", "dba")
        path.direct_port, path.database = target, USER
        return path
