"""A throw-away PostgreSQL server."""
import pathlib
import shutil
import signal
import subprocess

import psycopg2

from . import machine

BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
PASSWORD = "the-target's-secret"

# The roles that gateways log in as, by how they prove who they are. All own the database "app" and
# may make databases, so that whatever is refused to an agent is refused by the gateway.
ROLES = ("app_scram", "app_md5", "app_password", "app_cert", "app_trust", "app_super")

HBA = """
local   all         postgres                     trust
local   all         app_trust                    trust
local   all         app_md5                      md5
local   all         app_password                 password
local   all         all                          scram-sha-256
host    all         postgres      127.0.0.1/32   trust
hostssl all         app_cert      127.0.0.1/32   cert
host    all         app_cert      127.0.0.1/32   reject
host    all         app_trust     127.0.0.1/32   trust
host    all         app_md5       127.0.0.1/32   md5
host    all         app_password  127.0.0.1/32   password
host    replication all           127.0.0.1/32   trust
host    all         all           127.0.0.1/32   scram-sha-256
"""

SETTINGS = {
    "listen_addresses": "127.0.0.1", "fsync": "off", "full_page_writes": "off",
    "synchronous_commit": "off", "max_connections": "200", "shared_buffers": "32MB",
    "logging_collector": "off", "log_connections": "on", "log_statement": "all",
    "max_prepared_transactions": "4", "ssl": "on",
}


class Postgres:
    """`host`, `port`, `socket` (path) say where it is; `log` is the path of its log, in which every
    statement that reached it is seen. `password` is that of the roles app_scram, app_md5,
    app_password and app_super; app_cert needs `client_certificate` and `client_key`."""

    host = "localhost"
    password = PASSWORD

    # `settings`: what differs from SETTINGS.
    def __init__(self, name, authority, settings=None):
        self.name = name
        self.settings = {**SETTINGS, **(settings or {})}
        self.folder = machine.short_folder(f"bh-pg-{name}-")
        self.data = self.folder / "data"
        self.port = machine.free_port()
        self.socket = self.folder / f".s.PGSQL.{self.port}"
        self.log = self.folder / "log"
        self.client_certificate, self.client_key = authority.issue(
            "app_cert", client=True, filename=f"{name}-app_cert")
        self.process = None
        machine.give_to_postgres(self.folder)
        self._make(authority)
        self.start()
        self._make_roles()

    def _make(self, authority):
        subprocess.run([BIN / "initdb", "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8",
                        "--locale", "C.UTF-8", "-D", self.data], check=True, cwd="/",
                       stdout=subprocess.DEVNULL, **machine.as_postgres())
        certificate, key = authority.issue(f"postgres-{self.name}", ["localhost", "127.0.0.1"])
        for source, target in ((certificate, "server.crt"), (key, "server.key"),
                               (authority.ca, "root.crt")):
            shutil.copy(source, self.data / target)
            (self.data / target).chmod(0o600)
            machine.give_to_postgres(self.data / target)
        (self.data / "pg_hba.conf").write_text(HBA)
        settings = {**self.settings, "port": str(self.port),
                    "unix_socket_directories": str(self.folder), "ssl_ca_file": "root.crt"}
        with (self.data / "postgresql.auto.conf").open("a", encoding="utf-8") as out:
            out.writelines(f"{key} = '{value}'\n" for key, value in settings.items())

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [BIN / "postgres", "-D", self.data], cwd="/", stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, **machine.as_postgres())
        machine.until(self._answers, f"PostgreSQL {self.name} to answer; see {self.log}")

    def _answers(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            self.connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def _make_roles(self):
        self.sql("SET password_encryption = 'scram-sha-256'", database="postgres")
        for role in ROLES:
            encryption = "md5" if role == "app_md5" else "scram-sha-256"
            power = "SUPERUSER" if role == "app_super" else "CREATEDB"
            self.sql(f"SET password_encryption = '{encryption}'",
                     f"CREATE ROLE {role} LOGIN {power} PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'",
                     database="postgres")
        self.sql("CREATE ROLE app_owner", *(f"GRANT app_owner TO {r}" for r in ROLES),
                 "CREATE DATABASE app OWNER app_owner", database="postgres")

    def connect(self, database="app", user="postgres", **options):
        """psycopg2, straight to it and as its superuser by default."""
        options.setdefault("host", "127.0.0.1")
        connection = psycopg2.connect(port=self.port, dbname=database, user=user, **options)
        connection.autocommit = True
        return connection

    def sql(self, *statements, database="app"):
        """Runs statements as the superuser; the rows of the last one, if it has any."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def fresh_database(self, name):
        """An empty database, owned by the roles that gateways log in as."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)',
                 f'CREATE DATABASE "{name}" OWNER app_owner', database="postgres")
        return name

    def logged(self, text):
        """Whether the server's log has the text: what reached the target?"""
        return text in self.log.read_text(errors="replace")

    def stop(self, how=signal.SIGINT):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(machine.PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(machine.PATIENCE)
        self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
