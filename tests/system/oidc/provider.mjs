// An OpenID Connect provider (npm's oidc-provider) on a free loopback port, for the tests.
//
// Clients get access tokens that are JWTs for the audience "bulkhead" by the client-credentials
// grant. Besides the provider's own endpoints:
//   POST /test/rotate?keep=0|1   signs with a new key from now on; keep=1 still publishes the others
//   GET  /test/counts            how often discovery and the keys were fetched
//   POST /test/stall?ms=N        answers discovery and keys N ms late (0: at once again)
//   POST /test/console?redirect=URL  knows the client "bulkhead-console" (authorization code, PKCE)
//   POST /test/account           JSON {sub, name, email, groups}: who logs in from now on, unasked
// Prints {"port": N} when it is ready.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const groups = {
  'deploy-agent': ['deploy-agents'],
  'reader-agent': ['readers'],
  'lonely-agent': [],
};
const secret = 'test-secret';
const counts = { discovery: 0, keys: 0, tokens: 0 };
const audience = 'bulkhead';
const resource = 'urn:bulkhead';
let keys = [newKey()];
let stallMs = 0;
let issuer;
let provider;
let handle;
let redirect = null;
let account = { sub: 'nobody', groups: [] };
const accounts = new Map();

function newKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'ES256' };
}

function consoleClient() {
  return {
    client_id: 'bulkhead-console',
    client_secret: secret,
    grant_types: ['authorization_code'],
    redirect_uris: [redirect],
    response_types: ['code'],
    id_token_signed_response_alg: 'ES256',
  };
}

// Whoever /test/account said, without a page; everything is granted.
async function interact(request, response) {
  const { prompt } = await provider.interactionDetails(request, response);
  accounts.set(account.sub, account);
  await provider.interactionFinished(
    request, response, prompt.name === 'login' ? { login: { accountId: account.sub } } : { consent: {} });
}

async function grantAll(ctx) {
  const grant = new ctx.oidc.provider.Grant({
    clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
  grant.addOIDCScope('openid profile email');
  await grant.save();
  return grant;
}

function start() {
  provider = new Provider(issuer, {
    jwks: { keys },
    cookies: { keys: [randomUUID()] },
    claims: { openid: ['sub', 'groups'], profile: ['name'], email: ['email'] },
    conformIdTokenClaims: false,
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => accounts.get(id) }),
    loadExistingGrant: grantAll,
    interactions: { url: (_ctx, interaction) => `/test/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    clients: [...(redirect ? [consoleClient()] : []), ...Object.keys(groups).map((id) => ({
      client_id: id,
      client_secret: secret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_post',
      id_token_signed_response_alg: 'ES256',
    }))],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx) => (ctx.oidc.client?.clientId in groups ? resource : undefined),
        getResourceServerInfo: () => ({
          scope: '',
          audience,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    extraTokenClaims: (_ctx, token) => ({ groups: groups[token.clientId] ?? [] }),
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
  handle = provider.callback();
}

function answer(response, body) {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(body));
}

const server = createServer((request, response) => {
  const url = new URL(request.url, issuer);

  if (url.pathname === '/test/counts') return answer(response, counts);
  if (url.pathname === '/test/stall') {
    stallMs = Number(url.searchParams.get('ms'));
    return answer(response, { stallMs });
  }
  if (url.pathname === '/test/console') {
    redirect = url.searchParams.get('redirect');
    start();
    return answer(response, { redirect });
  }
  if (url.pathname === '/test/account') {
    let text = '';
    request.on('data', (piece) => (text += piece));
    request.on('end', () => answer(response, (account = JSON.parse(text))));
    return undefined;
  }
  if (url.pathname.startsWith('/test/interaction/'))
    return interact(request, response).catch((error) => response.writeHead(500).end(String(error)));
  if (url.pathname === '/test/rotate') {
    const kept = url.searchParams.get('keep') === '1' ? keys : [];
    keys = [newKey(), ...kept];
    start();
    return answer(response, { keys: keys.length });
  }
  const isDiscovery = url.pathname === '/.well-known/openid-configuration';
  const isKeys = url.pathname === '/jwks';
  counts.discovery += isDiscovery;
  counts.keys += isKeys;
  counts.tokens += url.pathname === '/token';
  return isDiscovery || isKeys
    ? setTimeout(() => handle(request, response), stallMs)
    : handle(request, response);
});

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  issuer = `http://127.0.0.1:${port}`;
  start();
  console.log(JSON.stringify({ port }));
});
process.stdin.on('end', () => process.exit(0)).resume(); // ends with whoever started it
