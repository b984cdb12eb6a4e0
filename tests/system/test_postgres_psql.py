"""Stock psql and pg_dump through the gateway."""
import re
import subprocess

import pytest

from harness import gateway as gateways
from harness import machine
from harness.postgres import BIN
from shared_gateway import shared_gateway

SCHEMA = """\
CREATE SCHEMA sales;
CREATE TYPE sales.state AS ENUM ('open', 'closed');
CREATE TABLE sales.customers (id bigserial PRIMARY KEY, name text NOT NULL CHECK (name <> ''),
    since date DEFAULT current_date);
COMMENT ON TABLE sales.customers IS 'who buys';
CREATE TABLE sales.orders (id int GENERATED ALWAYS AS IDENTITY, customer bigint NOT NULL
    REFERENCES sales.customers, state sales.state, total numeric(10,2)) PARTITION BY RANGE (id);
CREATE TABLE sales.orders_1 PARTITION OF sales.orders FOR VALUES FROM (0) TO (1000);
CREATE INDEX ON sales.orders (state) WHERE total > 100;
CREATE VIEW sales.open AS SELECT o.id, c.name FROM sales.orders o JOIN sales.customers c
    ON c.id = o.customer WHERE state = 'open';
CREATE MATERIALIZED VIEW sales.totals AS SELECT customer, sum(total) FROM sales.orders GROUP BY 1;
CREATE FUNCTION sales.double(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i * 2';
CREATE FUNCTION sales.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON sales.customers FOR EACH ROW EXECUTE FUNCTION sales.touch();
ALTER TABLE sales.customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone ON sales.customers USING (true);
GRANT SELECT ON sales.open TO PUBLIC;
"""


@pytest.fixture(scope="module")
def gateway(authority, test_db):
    with shared_gateway(authority, {"test": gateways.resource(test_db, authority)}) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def direct(gateway, test_db, tmp_path_factory):
    """psql straight to the server, with the same login and options."""
    def psql(script, database):
        return subprocess.run(
            ["psql", "--no-psqlrc", "-v", "VERBOSITY=verbose", "-v", "ON_ERROR_STOP=1",
             f"host=localhost port={test_db.port} user=app_scram dbname={database}"],
            input=script, text=True, capture_output=True, check=False, cwd="/",
            env={"PGPASSWORD": test_db.password, "PATH": "/usr/bin:/bin"})
    return psql


@pytest.fixture(scope="module")
def sales(test_db, gateway):
    name = test_db.fresh_database("psql_sales")
    gateway.psql(stdin=SCHEMA, database=name, check=True)
    return name


META_COMMANDS = [r"\l", r"\dn+", r"\dt *.*", r"\d sales.customers", r"\d+ sales.orders", r"\dv+ sales.*",
                 r"\dm+ sales.*", r"\di sales.*", r"\ds sales.*", r"\df+ sales.*", r"\sf sales.double",
                 r"\sv sales.open", r"\dT+ sales.*", r"\du", r"\dp sales.*", r"\dd sales.*", r"\db",
                 r"\dC", r"\dD *.*", r"\dF", r"\dO", r"\dx", r"\dy", r"\do+ pg_catalog.=", r"\ddp", r"\dL+",
                 r"\dRp", r"\drds", r"\dconfig work*", r"\dAc", r"\dAf", r"\dAo", r"\dAp", r"\dc", r"\deu",
                 r"\det", r"\dew", r"\dX", r"\dP+ sales.*", r"\encoding", r"\z sales.*"]


@pytest.mark.parametrize("command", META_COMMANDS)
def test_meta_command_shows_the_same_as_directly(gateway, direct, sales, command):
    there, here = direct(command, sales), gateway.psql(stdin=command, database=sales)
    assert there.returncode == 0, there.stderr
    assert (here.stdout, here.stderr) == (there.stdout, there.stderr)


def _comparable(text):
    """Without what differs between sessions, and without the place in the server's own source."""
    return re.sub(r"(?m)^LOCATION:.*\n", "", re.sub(r"PID \d+", "PID n", text))


SCRIPTS = {
    "variables": r"""
        \set name 'O''Brien'
        CREATE TEMPORARY TABLE v (name text, n int);
        INSERT INTO v VALUES (:'name', 1), (:'name', 2);
        SELECT count(*) AS rows, max(n) AS top FROM v \gset got_
        \echo :got_rows :got_top
        \if :{?got_rows}
        SELECT :got_rows + :got_top AS "sum";
        \endif
        SELECT :"missing";
        """,
    "copy both ways": r"""
        CREATE TEMPORARY TABLE c (a int, b text);
        \copy c from pstdin with (format csv)
1,one
2,"two, and a half"
3,
\.
        \copy c to pstdout
        \copy (select b from c order by a desc) to pstdout with (format csv, header)
        COPY c TO STDOUT (FORMAT csv, FORCE_QUOTE *);
        """,
    "on_error_rollback": r"""
        \set ON_ERROR_ROLLBACK on
        \set ON_ERROR_STOP off
        BEGIN;
        CREATE TEMPORARY TABLE r (a int PRIMARY KEY);
        INSERT INTO r VALUES (1);
        INSERT INTO r VALUES (1);
        INSERT INTO r VALUES (2);
        COMMIT;
        SELECT * FROM r;
        """,
    "gexec, gdesc, watch, crosstab, bind": r"""
        SELECT format('SELECT %s AS n', i) FROM generate_series(1, 3) i \gexec
        SELECT 1 AS a, 'x'::text AS b, now() AS c \gdesc
        SELECT g, g % 2 AS even, g * g AS v FROM generate_series(1, 3) g \crosstabview
        SELECT 1 \; SELECT 2 \; SELECT 3;
        \x \\ SELECT 1 AS wide, 2 AS wider
        \g
        """,
    "errors": r"""
        \set ON_ERROR_STOP off
        \set VERBOSITY default
        SELECT 1/0;
        SELECT * FROM nowhere;
        \errverbose
        SELECT 'unterminated;
        ';
        BEGIN; SELECT nonsense(); SELECT 1; ROLLBACK;
        DO $$ BEGIN RAISE NOTICE 'from %', 'within'; END $$;
        """,
    "fetch_count uses a cursor": r"""
        \set FETCH_COUNT 7
        SELECT * FROM generate_series(1, 40);
        """,
    "prepared": r"""
        PREPARE p(int) AS SELECT $1 * 2 AS twice;
        EXECUTE p(4);
        DEALLOCATE p;
        """,
    "listen and notify": r"""
        LISTEN news;
        SELECT pg_notify('news', 'hello') \g /dev/null
        UNLISTEN *;
        """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_gives_the_same_as_directly(gateway, direct, sales, name):
    script = "\n".join(line.removeprefix("        ") for line in SCRIPTS[name].splitlines())
    there, here = direct(script, sales), gateway.psql(stdin=script, database=sales)
    assert (_comparable(here.stdout), _comparable(here.stderr)) == (
        _comparable(there.stdout), _comparable(there.stderr))
    assert here.returncode == there.returncode


def test_psql_without_a_database_gets_the_one_of_the_resource(gateway):
    done = gateway.psql("SELECT current_database()", arguments=["-At"], database=None, check=True)
    assert done.stdout == "app\n"


def test_psql_reconnects_to_another_database(gateway, sales):
    done = gateway.psql(stdin=f"\\c {sales}\nSELECT current_database();\n\\c app\n", database="app",
                        arguments=["-At"], check=True)
    assert sales in done.stdout.splitlines()


def test_pg_dump_schema_only_is_the_same_as_directly(gateway, test_db, sales):
    def dump(environment, *options):
        done = subprocess.run([BIN / "pg_dump", "--schema-only", *options], capture_output=True,
                              text=True, check=False, timeout=machine.PATIENCE * 2,
                              env={"PATH": "/usr/bin:/bin", **environment})
        assert done.returncode == 0, done.stderr
        # The key of \restrict is random.
        return re.sub(r"(?m)^\\(un)?restrict .*", "", done.stdout)
    parameters = gateway.parameters(database=sales)
    through = dump({"PGPASSWORD": parameters.pop("password")},
                   "-d", " ".join(f"{k}={v}" for k, v in parameters.items()))
    straight = dump({"PGPASSWORD": test_db.password}, "-d",
                    f"host=localhost port={test_db.port} user=app_scram dbname={sales}")
    assert through == straight
    assert "CREATE MATERIALIZED VIEW sales.totals" in through


def test_pg_dump_with_data_and_pg_restore_work(gateway, test_db, sales, tmp_path):
    parameters = gateway.parameters(database=sales)
    environment = {"PATH": "/usr/bin:/bin", "PGPASSWORD": parameters.pop("password")}
    connect = " ".join(f"{k}={v}" for k, v in parameters.items())
    subprocess.run([BIN / "pg_dump", "-Fc", "-f", tmp_path / "dump", "-d", connect], check=True,
                   env=environment)
    copy = test_db.fresh_database("psql_copy")
    done = subprocess.run([BIN / "pg_restore", "--no-owner", "-d", connect.replace(sales, copy),
                           tmp_path / "dump"], check=False, env=environment, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert test_db.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'sales'::regnamespace",
                       database=copy) == test_db.sql(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'sales'::regnamespace", database=sales)
