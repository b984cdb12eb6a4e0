// npm run mock: the console against invented data, at http://127.0.0.1:9480.
import { build } from '../../../console/node_modules/esbuild/lib/main.js';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const here = new URL('.', import.meta.url).pathname;
const outfile = join(mkdtempSync(join(tmpdir(), 'console-mock-')), 'server.mjs');
await build({ entryPoints: [join(here, 'server.ts')], bundle: true, platform: 'node', format: 'esm', outfile });
const { MockGateway } = await import(pathToFileURL(outfile).href);
const assets = process.argv[2] ?? join(here, '../../../console/dist');
console.log(`${await new MockGateway(assets).listen(9480)}  (files of ${assets})`);
