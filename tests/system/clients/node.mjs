// What Node programs do with PostgreSQL, by node-postgres. Arguments: port, token, CA file.
import assert from 'node:assert';
import fs from 'node:fs';
import pg from 'pg';

const [port, password, ca] = process.argv.slice(2);
const options = {
  host: 'localhost', port: Number(port), user: 'test', database: 'app', password,
  ssl: {ca: fs.readFileSync(ca, 'utf8')},
};

const client = new pg.Client(options);
await client.connect();

const row = (await client.query('SELECT $1::text AS name, $2::int4[] AS list, now() AS at', ['naïve 🐘', [1, 2]])).rows[0];
assert.deepEqual([row.name, row.list, row.at instanceof Date], ['naïve 🐘', [1, 2], true]);
console.log('parameters');

for (let i = 0; i < 5; i++)
  assert.equal((await client.query({name: 'twice', text: 'SELECT $1::int * 2 AS n', values: [i]})).rows[0].n, i * 2);
console.log('named statement');

const several = await client.query('SELECT 1 AS a; SELECT 2 AS b');
assert.deepEqual(several.map(r => r.rows[0]), [{a: 1}, {b: 2}]);
console.log('several statements');

await assert.rejects(client.query('SELECT * FROM public.forbidden WHERE a = $1', [1]), e =>
  e.code === '42501' && e.message === 'hands off' && /hands off/.test(e.detail) && e.hint.length > 0);
await assert.rejects(client.query('TABLE public.forbidden'), {code: '42501'});
assert.equal((await client.query('SELECT 3 AS n')).rows[0].n, 3);
console.log('refusal');

await client.query('BEGIN');
await client.query('CREATE TEMPORARY TABLE n (i int)');
await client.query('SAVEPOINT s');
await assert.rejects(client.query('TABLE public.forbidden'), {code: '42501'});
await client.query('ROLLBACK TO s');
await client.query('INSERT INTO n VALUES ($1)', [1]);
await client.query('COMMIT');
assert.equal((await client.query('TABLE n')).rowCount, 1);
console.log('transaction');

const heard = new Promise(resolve => client.once('notification', resolve));
await client.query('LISTEN news');
await client.query("NOTIFY news, 'hello'");
assert.equal((await heard).payload, 'hello');
console.log('notification');

// Sent without waiting: node-postgres queues, the answers come in order.
const many = await Promise.all([...Array(200).keys()].map(i => client.query('SELECT $1::int AS i', [i])));
assert.deepEqual(many.map(r => r.rows[0].i), [...Array(200).keys()]);
console.log('queue');
await client.end();

const pool = new pg.Pool({...options, max: 5});
const sums = await Promise.all([...Array(50).keys()].map(i => pool.query('SELECT sum(g) AS s FROM generate_series(1, $1::int) g', [i])));
assert.equal(sums[49].rows[0].s, String(49 * 50 / 2));
await pool.end();
console.log('pool');
