"""asyncpg: the binary protocol, prepared statements, pipelines."""
import asyncio
import base64
import datetime
import decimal
import io
import ssl
import uuid

import asyncpg
import pytest

from harness import gateway as gateways
from shared_gateway import shared_gateway

POLICIES = [{"name": "all", "allow": ["all"]},
            {"name": "hands off", "tables": ["forbidden"], "deny": "hands off"}]


@pytest.fixture(scope="module")
def gateway(authority, test_db):
    with shared_gateway(authority, {"test": gateways.resource(test_db, authority)},
                        {"policies": POLICIES}) as gateway:
        gateway.shared_token = gateway.token()
        yield gateway


def options(gateway):
    return {"host": gateway.host, "port": gateway.port, "user": "test", "database": "app",
            "password": gateway.shared_token,
            "ssl": ssl.create_default_context(cafile=str(gateway.authority.ca))}


@pytest.fixture
def run(gateway):
    """Runs an `async def story(connection)`."""
    def run_story(story):
        async def main():
            connection = await asyncpg.connect(**options(gateway))
            try:
                return await asyncio.wait_for(story(connection), 60)
            finally:
                await connection.close(timeout=10)
        return asyncio.run(main())
    return run_story


VALUES = [
    ("int8", -2**63), ("float8", 1.5e300), ("numeric", decimal.Decimal("-12345.678900")),
    ("text", "naïve 🐘"), ("bytea", bytes(range(256))), ("bool", True), ("date", datetime.date(1, 1, 1)),
    ("timestamptz", datetime.datetime(2020, 2, 29, 1, 2, 3, 456789, datetime.timezone.utc)),
    ("interval", datetime.timedelta(days=3, seconds=7)), ("uuid", uuid.UUID(int=7)),
    ("jsonb", '{"a": [1, null]}'), ("int4[]", [1, None, 3]), ("text[]", [["a", "b"], ["c", "d"]]),
    ("int4range", asyncpg.Range(1, 9)), ("text", None), ("inet", "10.0.0.0/8"),
]


@pytest.mark.parametrize("type_name,value", VALUES)
def test_binary_values_go_there_and_back(run, type_name, value):
    async def story(c):
        return await c.fetchval(f"SELECT $1::{type_name}", value)
    got = run(story)
    assert str(got) == str(value) if type_name == "inet" else got == value


def test_composite_enum_and_domain_types_are_looked_up(run):
    async def story(c):
        await c.execute("CREATE TYPE pg_temp.pair AS (a int, b text); "
                        "CREATE TYPE pg_temp.mood AS ENUM ('sad', 'ok'); "
                        "CREATE DOMAIN pg_temp.small AS int CHECK (value < 10)")
        row = await c.fetchrow("SELECT (1, 'x')::pg_temp.pair AS p, 'ok'::pg_temp.mood AS m, "
                               "7::pg_temp.small AS s, ARRAY[(2, 'y')::pg_temp.pair] AS l")
        return tuple(row["p"]), row["m"], row["s"], tuple(row["l"][0])
    assert run(story) == ((1, "x"), "ok", 7, (2, "y"))


def test_a_prepared_statement_runs_many_times_and_each_time_is_recorded(run, gateway):
    async def story(c):
        statement = await c.prepare("SELECT $1::int * 2 AS doubled_by_asyncpg")
        return [await statement.fetchval(i) for i in range(50)]
    assert run(story) == [i * 2 for i in range(50)]
    records = gateway.records(50, type="command_intent", statement="doubled_by_asyncpg")
    values = [r["binds"] for r in records]
    assert len(values) == 50 and all(len(v) == 1 for v in values)
    # asyncpg sends no types with Parse, and values in binary format.
    assert sorted(base64.b64decode(v[0]["base64"])[-1] for v in values) == list(range(50))


def test_executemany_sends_many_binds_and_each_is_recorded(run, gateway):
    async def story(c):
        await c.execute("CREATE TEMPORARY TABLE many (i int, t text)")
        await c.executemany("INSERT INTO many VALUES ($1, $2)", [(i, f"v{i}") for i in range(3000)])
        return await c.fetchval("SELECT count(DISTINCT t) FROM many")
    assert run(story) == 3000
    records = gateway.records(3000, type="command_intent", statement="INSERT INTO many")
    assert len(records) == 3000
    assert {base64.b64decode(r["binds"][1]["base64"]).decode() for r in records} == {f"v{i}" for i in range(3000)}


def test_cursors_fetch_piece_by_piece(run):
    async def story(c):
        got = []
        async with c.transaction():
            async for row in c.cursor("SELECT g FROM generate_series(1, $1::int) g", 501, prefetch=7):
                got.append(row[0])
            cursor = await c.cursor("SELECT g FROM generate_series(1, 100) g")
            await cursor.forward(10)
            got.append((await cursor.fetchrow())[0])
        return got
    assert run(story) == [*range(1, 502), 11]


def test_copy_in_and_out(run):
    async def story(c):
        await c.execute("CREATE TEMPORARY TABLE source (i int, t text)")
        await c.copy_records_to_table("source", records=[(i, f"t{i}") for i in range(10000)])
        out = io.BytesIO()
        await c.copy_from_query("SELECT * FROM source WHERE i >= $1 ORDER BY i", 9990, output=out,
                                format="csv")
        with pytest.raises(asyncpg.PostgresError):
            await c.copy_to_table("source", source=io.BytesIO(b"not,a,number\n"), format="csv")
        return await c.fetchval("SELECT count(*) FROM source"), out.getvalue()
    count, text = run(story)
    assert count == 10000 and text.splitlines()[0] == b"9990,t9990"


def test_savepoints_and_nested_transactions(run):
    async def story(c):
        await c.execute("CREATE TEMPORARY TABLE s (i int)")
        async with c.transaction():
            await c.execute("INSERT INTO s VALUES (1)")
            with pytest.raises(ZeroDivisionError):
                async with c.transaction():
                    await c.execute("INSERT INTO s VALUES (2)")
                    raise ZeroDivisionError
            await c.execute("INSERT INTO s VALUES (3)")
        return [r[0] for r in await c.fetch("SELECT i FROM s ORDER BY i")]
    assert run(story) == [1, 3]


def test_a_refused_prepare_leaves_the_session_usable(run):
    async def story(c):
        for _ in range(3):
            with pytest.raises(asyncpg.InsufficientPrivilegeError) as refusal:
                await c.fetch("SELECT * FROM public.forbidden WHERE a = $1", 1)
            assert refusal.value.args[0] == "hands off"
            assert await c.fetchval("SELECT $1::int", 5) == 5
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await c.fetch("SELECT FROM FROM $1")
        async with c.transaction():
            assert await c.fetchval("SELECT 6") == 6
    run(story)


def test_a_refusal_in_a_transaction_leaves_it_failed_and_savepoints_work(run):
    async def story(c):
        async with c.transaction():
            await c.execute("CREATE TEMPORARY TABLE r (i int)")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with c.transaction():
                    await c.execute("DELETE FROM public.forbidden WHERE a = $1", 1)
            await c.execute("INSERT INTO r VALUES (1)")
        with pytest.raises(asyncpg.InFailedSQLTransactionError):
            async with c.transaction():
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await c.execute("TABLE public.forbidden")
                await c.execute("SELECT 1")
        return await c.fetchval("SELECT count(*) FROM r")
    assert run(story) == 1


def test_cancel_by_timeout(run):
    async def story(c):
        with pytest.raises(asyncio.TimeoutError):
            await c.execute("SELECT pg_sleep(100)", timeout=0.2)
        return await c.fetchval("SELECT 7")
    assert run(story) == 7


def test_notifications(run):
    async def story(c):
        got = asyncio.get_running_loop().create_future()
        await c.add_listener("news", lambda *args: got.set_result(args[2:]))
        await c.execute("SELECT pg_notify('news', $1)", "hello")
        return await asyncio.wait_for(got, 20)
    assert run(story) == ("news", "hello")


def test_a_pool_resets_its_connections(gateway):
    async def main():
        async with asyncpg.create_pool(min_size=2, max_size=4, **options(gateway)) as pool:
            async def one(i):
                async with pool.acquire() as c:
                    await c.execute(f"SET application_name = 'worker {i}'")
                    return await c.fetchval("SELECT $1::int + 1", i)
            got = await asyncio.gather(*(one(i) for i in range(40)))
            async with pool.acquire() as c:
                return got, await c.fetchval("SHOW application_name")
    assert asyncio.run(main()) == (list(range(1, 41)), "")
