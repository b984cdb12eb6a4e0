// npm run mock: the console against invented data, at http://127.0.0.1:9480.
import { MockGateway } from './server';

const assets = process.argv[2] ?? new URL('../../../console/dist', import.meta.url).pathname;
const gateway = new MockGateway(assets);
console.log(`${await gateway.listen(9480)}  (assets of ${assets})`);
