// The console against a mock of the API: what a person does on every page, and what the console
// makes of races, failures and hostile text.
import { expect, expectAccessible, test } from './fixtures';

const DDL = 'q7m2kd5xw3hvna4t';
const TWO = 'b4t6zr2ye5gqoc7s';
const HOSTILE = 'h5p3aw6nlk2dxe4v';
const CLOSED = '0000000000059701';
const LIVE = '00000000000597ea';

test.describe('approvals', () => {
  test('the most urgent request is open at once and says everything', async ({ page, url }) => {
    await page.goto(`${url}/approvals`);
    await expect(page).toHaveURL(new RegExp(TWO));
    const detail = page.getByRole('article', { name: 'request' });
    await expect(detail.getByRole('list', { name: 'who asks' })).toContainText('jo.li@example.com');
    await expect(detail).toContainText('Exactly 1,284 rows, by a dry run that was rolled back.');
    await expect(detail.locator('del').first()).toHaveText('open');
    await expect(detail.locator('ins').first()).toHaveText('cancelled');
    await expect(detail).toContainText('1 of 2 approvals');
    await expect(detail).toContainText('many rows need two humans');
    await expect(detail.locator('.sql-keyword').first()).toHaveText('UPDATE');
    await page.getByRole('button', { name: 'Exactly as sent' }).click();
    await expect(detail.getByRole('region', { name: 'statement, exactly as sent' })).toHaveText("update public.orders set status = $1 where status = 'open' and created < $2");
  });

  test('the time left ticks', async ({ page, url }) => {
    await page.goto(`${url}/approvals/${DDL}`);
    const left = page.locator('.request-state .countdown');
    const before = await left.textContent();
    await expect(left).not.toHaveText(before ?? '');
  });

  test('approving sends the reason and the CSRF token, and shows what came of it', async ({ page, url, gateway }) => {
    await page.goto(`${url}/approvals/${DDL}`);
    await page.getByRole('button', { name: 'Approve' }).click();
    const dialog = page.getByRole('dialog', { name: 'Approve this command?' });
    await expect(dialog).toContainText('executor-7');
    await dialog.getByLabel('Why (optional)').fill('outside busy hours');
    await dialog.getByRole('button', { name: 'Approve' }).click();
    await expect(page.getByRole('article', { name: 'request' })).toContainText('outside busy hours');
    await expect(page.locator('.request-state')).toContainText('approved');
    expect(gateway.seen).toContain(`POST /v1/approvals/${DDL}/approve {"reason":"outside busy hours"}`);
    await expect(page.locator('.inbox')).not.toContainText('executor-7');
    await page.getByRole('link', { name: 'History' }).click();
    await expect(page.locator('.inbox')).toContainText('executor-7');
  });

  test('a rule that wants a reason gets one', async ({ page, url, gateway }) => {
    await page.goto(`${url}/approvals/${TWO}`);
    await page.getByRole('button', { name: 'Approve' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Approve' }).click();
    await expect(dialog.getByRole('alert')).toHaveText('A reason is required here.');
    await expect(dialog.getByLabel('Why')).toBeFocused();
    expect(gateway.seen.filter((line) => line.includes('/approve'))).toEqual([]);
    await dialog.getByLabel('Why').fill('agreed');
    await page.keyboard.press('Control+Enter');
    await expect(page.locator('.request-state')).toContainText('approved');
  });

  test('keys alone: j, k, d, reason, send', async ({ page, url, gateway }) => {
    await page.goto(`${url}/approvals`);
    await expect(page).toHaveURL(new RegExp(TWO));
    await page.keyboard.press('j');
    await expect(page).toHaveURL(new RegExp(DDL));
    await expect(page.getByRole('button', { name: 'Deny' })).toBeVisible();
    await page.keyboard.press('d');
    await expect(page.getByRole('dialog')).toBeVisible();
    await page.keyboard.press('Escape');
    await expect(page.getByRole('dialog')).toHaveCount(0);
    await page.keyboard.press('d');
    await page.keyboard.type('not today, jack');
    await page.keyboard.press('Control+Enter');
    await expect(page.locator('.request-state')).toContainText('denied');
    expect(gateway.seen).toContain(`POST /v1/approvals/${DDL}/deny {"reason":"not today, jack"}`);
  });

  test('overriding warns, and needs a reason', async ({ page, url, gateway }) => {
    await page.goto(`${url}/approvals/${TWO}`);
    await page.getByRole('button', { name: 'Override' }).click();
    const dialog = page.getByRole('dialog');
    await expect(dialog).toContainText('This breaks the glass.');
    await dialog.getByRole('button', { name: 'Override and let it run' }).click();
    await expect(dialog.getByRole('alert')).toBeVisible();
    await dialog.getByRole('textbox').fill('INC-1');
    await dialog.getByRole('button', { name: 'Override and let it run' }).click();
    await expect(page.locator('.request-state')).toContainText('overridden');
    expect(gateway.seen).toContain(`POST /v1/approvals/${TWO}/override {"reason":"INC-1"}`);
  });

  test('a request that is not yours to decide says why, and has no buttons and no keys', async ({ page, url }) => {
    await page.goto(`${url}/approvals/${HOSTILE}`);
    await expect(page.locator('.answer')).toContainText('dana.fox@example.com is in the chain of this request');
    await expect(page.getByRole('button', { name: 'Approve' })).toHaveCount(0);
    await page.keyboard.press('a');
    await expect(page.getByRole('dialog')).toHaveCount(0);
  });

  test('text that would deceive is shown as marks, exactly as sent first', async ({ page, url }) => {
    await page.goto(`${url}/approvals/${HOSTILE}`);
    const statement = page.getByRole('region', { name: 'statement, exactly as sent' });
    await expect(statement.locator('.mark-bidi').first()).toHaveText('RLO');
    await expect(statement.locator('.mark-invisible')).toHaveText('ZWSP');
    await expect(statement.locator('.mark-lookalike')).toHaveAttribute('title', /U\+0430/);
    await expect(statement.locator('.mark-run')).toHaveText('300 blanks');
    await expect(page.getByText('Read with care.')).toBeVisible();
    const drawn = await page.locator('main').evaluate((main) => main.textContent ?? '');
    expect(drawn).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u200b\u0007]/);
  });

  test('markup in what others wrote stays text', async ({ page, url, gateway }) => {
    const request = gateway.world.approvals.find((candidate) => candidate.id === DDL);
    if (request?.command) request.command = { ...request.command, text: '<img src=x onerror=alert(1)>', formatted: null };
    if (request) Object.assign(request, { purpose: '<script>alert(2)</script>', chain: ['<b>a</b>', 'x'] });
    await page.goto(`${url}/approvals/${DDL}`);
    await expect(page.locator('.purpose')).toContainText('<script>alert(2)</script>');
    await expect(page.locator('.chain')).toContainText('<b>a</b>');
    await expect(page.locator('.statement')).toContainText('<img src=x onerror=alert(1)>');
    expect(await page.locator('main img, main script, .chain b').count()).toBe(0);
  });

  test('somebody else was quicker: the dialog says so, the page shows it', async ({ page, url, gateway }) => {
    await page.goto(`${url}/approvals/${DDL}`);
    await page.getByRole('button', { name: 'Approve' }).click();
    const request = gateway.world.approvals.find((candidate) => candidate.id === DDL);
    if (request) request.state = 'denied'; // no event: the stream may lag behind
    await page.getByRole('dialog').getByRole('button', { name: 'Approve' }).click();
    await expect(page.getByRole('dialog').getByRole('alert')).toContainText('This request is denied already.');
    await page.keyboard.press('Escape');
    await expect(page.locator('.request-state')).toContainText('denied');
    await expect(page.getByRole('button', { name: 'Approve' })).toHaveCount(0);
  });

  test('what arrives appears by itself, and what is open stays open', async ({ page, url, gateway }) => {
    await page.goto(`${url}/approvals/${DDL}`);
    await expect(page.locator('.link-state')).toHaveText('live');
    const source = gateway.world.approvals.find((candidate) => candidate.id === DDL);
    gateway.world.approvals.push({ ...source!, id: 'zzzzzzzzzzzzzzzz', subject: 'late-agent', expires: new Date(Date.now() + 5000).toISOString() });
    gateway.announce('approval', 'zzzzzzzzzzzzzzzz', 'pending');
    await expect(page.locator('.inbox')).toContainText('late-agent');
    await expect(page.getByRole('navigation', { name: 'Pages' }).locator('.badge')).toHaveText('5');
    await expect(page).toHaveURL(new RegExp(DDL));
  });

  test('a link that broke comes back, and what was missed is read', async ({ page, url, gateway }) => {
    await page.goto(`${url}/approvals/${DDL}`);
    await expect(page.locator('.link-state')).toHaveText('live');
    gateway.dropStreams();
    const source = gateway.world.approvals.find((candidate) => candidate.id === DDL);
    gateway.world.approvals.push({ ...source!, id: 'yyyyyyyyyyyyyyyy', subject: 'missed-agent' });
    await expect(page.locator('.inbox')).toContainText('missed-agent');
    await expect(page.locator('.link-state')).toHaveText('live');
  });

  test('a request that does not exist, and a list that cannot be read, say so', async ({ page, url, gateway }) => {
    await page.goto(`${url}/approvals/aaaaaaaaaaaaaaaa`);
    await expect(page.getByRole('alert')).toContainText('there is no request aaaaaaaaaaaaaaaa');
    gateway.failing.set('/v1/approvals', { status: 503, detail: 'the store does not answer' });
    await page.goto(`${url}/approvals`);
    await expect(page.getByRole('alert')).toContainText('the store does not answer');
    gateway.failing.clear();
    await page.getByRole('button', { name: 'Try again' }).click();
    await expect(page.locator('.inbox')).toContainText('cleanup-bot');
  });

  test('an empty inbox says what would come', async ({ page, url, gateway }) => {
    gateway.world.approvals = [];
    await page.goto(`${url}/approvals`);
    await expect(page.getByText('Nothing waits.')).toBeVisible();
  });
});

test.describe('logging in', () => {
  test('the address asked for is kept over a login', async ({ page, url, gateway }) => {
    gateway.loggedIn = false;
    await page.goto(`${url}/approvals/${DDL}`);
    const signIn = page.getByRole('link', { name: 'Sign in' });
    expect(await signIn.getAttribute('href')).toBe(`/login?next=${encodeURIComponent(`/approvals/${DDL}`)}`);
    await signIn.click();
    await expect(page).toHaveURL(new RegExp(DDL));
    await expect(page.getByRole('article', { name: 'request' })).toContainText('executor-7');
  });

  test('a one-time link logs in, and its token leaves the address at once', async ({ page, url, gateway }) => {
    gateway.loggedIn = false;
    await page.goto(`${url}/login/token#good-token`);
    await expect(page).toHaveURL(/\/approvals/);
    expect(gateway.seen).toContain('POST /v1/login {"token":"good-token"}');
    await page.goBack().catch(() => undefined);
    expect(page.url()).not.toContain('good-token');
  });

  test('a link that was used already says so', async ({ page, url, gateway }) => {
    gateway.loggedIn = false;
    await page.goto(`${url}/login/token#old-token`);
    await expect(page.getByRole('alert')).toContainText('The token has been used already.');
    expect(page.url()).not.toContain('old-token');
    await expectAccessible(page);
  });

  test('a login that ends in the middle leads to the login page', async ({ page, url, gateway }) => {
    await page.goto(`${url}/approvals/${DDL}`);
    await page.getByRole('button', { name: 'Deny' }).click();
    gateway.loggedIn = false;
    await page.getByRole('dialog').getByRole('button', { name: 'Deny' }).click();
    await expect(page.getByText('Your login has ended.')).toBeVisible();
  });

  test('logging out', async ({ page, url, gateway }) => {
    await page.goto(`${url}/approvals`);
    await page.locator('.me summary').click();
    await page.getByRole('button', { name: 'Log out' }).click();
    await expect(page.getByRole('link', { name: 'Sign in' })).toBeVisible();
    expect(gateway.loggedIn).toBe(false);
  });
});

test.describe('sessions', () => {
  test('live ones are listed and searched; a row opens by keys', async ({ page, url }) => {
    await page.goto(`${url}/sessions`);
    await expect(page.locator('tbody tr')).toHaveCount(2);
    await page.getByRole('link', { name: 'All' }).click();
    await expect(page.locator('tbody tr')).toHaveCount(4);
    await page.keyboard.press('/');
    await page.keyboard.type('cleanup');
    await page.keyboard.press('Enter');
    await expect(page.locator('tbody tr')).toHaveCount(1);
    await page.keyboard.press('Escape');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await expect(page.getByRole('heading', { name: /00000000000596c0/ })).toBeVisible();
  });

  test('watching live shows what happens as it happens; ending it asks why', async ({ page, url, gateway }) => {
    await page.goto(`${url}/sessions/${LIVE}`);
    await page.getByRole('button', { name: 'Watch live' }).click();
    await expect.poll(() => gateway.watching).toBe(1);
    const film = page.getByRole('region', { name: 'live session' });
    gateway.tellWatchers(LIVE, { t: 190, kind: 'statement', text: 'select 42 as answer', verdict: 'allow', rule: 'reads' });
    gateway.tellWatchers(LIVE, { t: 190.1, kind: 'columns', columns: [{ name: 'answer' }] });
    gateway.tellWatchers(LIVE, { t: 190.1, kind: 'rows', rows: [[42]] });
    await expect(film).toContainText('select 42 as answer');
    await expect(film.getByRole('columnheader')).toHaveText('answer');
    await page.getByRole('button', { name: 'End this session' }).click();
    await page.getByRole('dialog').getByLabel('Why').fill('runs wild');
    await page.getByRole('dialog').getByRole('button', { name: 'End the session' }).click();
    await expect(film).toContainText('killed by an administrator');
    await expect(page.getByRole('button', { name: 'End this session' })).toHaveCount(0);
    expect(gateway.seen).toContain(`POST /v1/sessions/${LIVE}/kill {"reason":"runs wild"}`);
    await expect.poll(() => gateway.watching).toBe(0);
  });

  test('a replay is a film: play, pause, seek, speed, search', async ({ page, url, gateway }) => {
    await page.goto(`${url}/sessions/${CLOSED}`);
    await page.getByRole('button', { name: 'Replay' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Watch' }).click();
    await expect(page.getByRole('dialog').getByRole('alert')).toBeVisible();
    await page.getByLabel('Why you watch it').fill('INC-2207');
    await page.keyboard.press('Control+Enter');
    const film = page.getByRole('region', { name: 'replay', exact: true });
    await expect(page.getByText(/^16 events$/)).toBeVisible();
    expect(gateway.seen.filter((line) => line.includes('/replay')).length).toBe(2);
    expect(gateway.seen.some((line) => line.includes('/replay') && line.endsWith('{"reason":"INC-2207"}'))).toBe(true);
    await expect(film).toContainText('information_schema.columns'); // it plays
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.keyboard.press('End');
    await expect(film).toContainText('closed: ended');
    await expect(film).toContainText('approved by dana.fox@example.com: outside busy hours');
    await page.keyboard.press('Home');
    await expect(film).not.toContainText('information_schema.columns');
    await page.getByRole('slider', { name: 'position in the recording' }).fill('3');
    await expect(film).toContainText('data_type');
    await expect(film).not.toContainText('create index');
    await page.getByLabel('Search in the recording').fill('create index');
    await expect(page.getByText('1 find; n and p go through them')).toBeVisible();
    await page.keyboard.press('Escape');
    await page.keyboard.press('n');
    await expect(film.locator('.is-found')).toContainText('create index');
    await page.getByLabel('Speed').selectOption('16');
    await page.getByLabel('Search in the recording').fill('');
    await page.keyboard.press('Escape');
    await page.keyboard.press(' ');
    await expect(film).toContainText('closed: ended');
    await expect(page.getByRole('button', { name: 'Play', exact: true })).toBeVisible();
  });

  test('export and legal hold ask why and are told to the gateway', async ({ page, url, gateway }) => {
    await page.goto(`${url}/sessions/${CLOSED}`);
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByLabel('SQL, the commands that ran').check();
    await page.getByLabel('What it is for').fill('audit');
    const download = page.waitForEvent('download');
    await page.getByRole('dialog').getByRole('button', { name: 'Export' }).click();
    expect((await download).suggestedFilename()).toBe(`${CLOSED}.sql`);
    await page.getByRole('button', { name: 'Legal hold' }).click();
    await page.getByLabel('Why').fill('case 7');
    await page.getByRole('button', { name: 'Hold it' }).click();
    await expect(page.getByRole('button', { name: 'Release the legal hold' })).toBeVisible();
    expect(gateway.seen).toContain(`POST /v1/sessions/${CLOSED}/legal-hold {"on":true,"reason":"case 7"}`);
  });
});

test.describe('ledger', () => {
  test('search by identity and verdict, a record in full, and back', async ({ page, url }) => {
    await page.goto(`${url}/ledger`);
    await expect(page.locator('tbody tr')).toHaveCount(100);
    await page.getByRole('button', { name: 'Show older ones' }).click();
    await expect(page.locator('tbody tr')).toHaveCount(143);
    await page.getByLabel('Identity').fill('executor-*');
    await page.getByLabel('Verdict').selectOption('deny');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await expect(page.locator('tbody tr')).toHaveCount(1);
    await expect(page).toHaveURL(/subject=executor-\*&verdict=deny/);
    await page.locator('tbody a').click();
    await expect(page.getByRole('heading', { name: 'Record 6' })).toBeVisible();
    await expect(page.getByRole('region', { name: 'statement, exactly as sent' })).toHaveText('select email from public.customers limit 5');
    await expect(page.locator('main .facts').first()).toContainText('personal data: ask data-protection@example.com');
    await page.getByText('As JSON').click();
    await expect(page.getByRole('region', { name: 'the record as JSON' })).toContainText('"verdict": "deny"');
    await page.keyboard.press('Escape');
    await expect(page).toHaveURL(/\/ledger\?subject=executor-\*&verdict=deny/);
    await expect(page.getByLabel('Identity')).toHaveValue('executor-*');
  });

  test('verify says whether the chain holds, or where it breaks', async ({ page, url, gateway }) => {
    await page.goto(`${url}/ledger`);
    await page.getByRole('button', { name: 'Verify the chain' }).click();
    await expect(page.getByText('The chain holds.')).toBeVisible();
    gateway.failing.set('/v1/ledger/verify', { status: 503, detail: 'the ledger cannot be read' });
    await page.getByRole('button', { name: 'Verify the chain' }).click();
    await expect(page.locator('.verified')).toContainText('the ledger cannot be read');
  });

  test('the export has the same filters', async ({ page, url, gateway }) => {
    await page.goto(`${url}/ledger?resource=production`);
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Export these' }).click();
    await (await download).path();
    expect(gateway.seen).toContain('GET /v1/ledger/export?resource=production');
  });
});

test.describe('the other pages', () => {
  test('resources: what I may do, and a line to paste', async ({ page, url, context }) => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.goto(`${url}/resources`);
    await page.getByText('How to connect').first().click();
    await page.getByRole('button', { name: 'Copy: psql to analytics' }).click();
    await expect(page.getByRole('button', { name: 'Copy: psql to analytics' })).toHaveText('Copied');
    expect(await page.evaluate(() => navigator.clipboard.readText())).toContain('user=analytics dbname=sales');
    await page.getByRole('link', { name: 'Ask for access' }).click();
    await expect(page.getByRole('combobox', { name: 'To' })).toHaveValue('production');
  });

  test('access: asking leads to the request; revoking asks why', async ({ page, url, gateway }) => {
    await page.goto(`${url}/access`);
    await page.getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('dialog').getByLabel('Why').fill('over');
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await expect(page.locator('tbody tr').first()).toContainText('revoked');
    await page.getByRole('combobox', { name: 'To' }).selectOption('staging');
    await page.getByRole('combobox', { name: 'For' }).selectOption('7200');
    await page.getByRole('button', { name: 'Ask', exact: true }).click();
    await expect(page.getByRole('alert')).toContainText('Say what it is for');
    await page.getByLabel('Because').fill('load test');
    await page.getByRole('button', { name: 'Ask', exact: true }).click();
    await expect(page).toHaveURL(/\/approvals\/n7b3v5c2x4z6q2w4/);
    await expect(page.locator('.answer')).toContainText('You asked for it yourself.');
    expect(gateway.seen).toContain('POST /v1/access {"resource":"staging","seconds":7200,"reason":"load test"}');
  });

  test('policies: read, explain, try others against the past', async ({ page, url }) => {
    await page.goto(`${url}/policies`);
    await page.getByText('schema changes need a human').first().click();
    await expect(page.getByRole('region', { name: 'rule schema changes need a human' })).toContainText('step_up:');
    await page.getByLabel('Identity').fill('executor-7');
    await page.getByLabel('Resource').fill('production');
    await page.getByLabel('Statement').fill('alter table public.orders add x int');
    await page.getByRole('button', { name: 'Explain' }).click();
    await expect(page.locator('.answer-box')).toContainText('held by schema changes need a human');
    await page.getByLabel('Rules, as they would stand in the configuration').fill('nonsense');
    await page.getByRole('button', { name: 'Try' }).click();
    await expect(page.getByRole('alert')).toContainText('policies:1:1');
    await page.getByRole('button', { name: 'Back to the rules in force' }).click();
    await page.getByRole('button', { name: 'Try' }).click();
    await expect(page.getByText('312 commands of 26,639 would have been decided otherwise.')).toBeVisible();
  });

  test('overview: the graph and its table say the same', async ({ page, url }) => {
    await page.goto(`${url}/overview`);
    await expect(page.locator('svg.graph .edge')).toHaveCount(6);
    await page.getByText('The same as a table').click();
    await expect(page.locator('tbody tr')).toHaveCount(6);
    await expect(page.locator('tbody tr').first()).toContainText('18,240');
    await page.locator('tbody tr').first().getByRole('link').nth(1).click();
    await expect(page).toHaveURL(/\/ledger\?subject=report-agent&resource=analytics&verdict=deny/);
  });

  test('a path that is no page says so', async ({ page, url }) => {
    await page.goto(`${url}/nowhere`);
    await expect(page.getByRole('heading', { name: 'There is no such page' })).toBeVisible();
  });

  test('keys: help, going places, skipping to the page', async ({ page, url }) => {
    await page.goto(`${url}/resources`);
    await expect(page.getByRole('heading', { name: 'Resources' })).toBeVisible();
    await page.keyboard.press('?');
    await expect(page.getByRole('dialog', { name: 'Keys' })).toBeVisible();
    await expectAccessible(page);
    await page.keyboard.press('Escape');
    await page.keyboard.press('g');
    await page.keyboard.press('l');
    await expect(page).toHaveURL(/\/ledger$/);
    await page.goto(`${url}/access`);
    await expect(page.getByRole('heading', { name: 'Access', exact: true })).toBeVisible();
    await page.keyboard.press('Tab');
    await expect(page.getByRole('link', { name: 'Skip to the page' })).toBeFocused();
    await page.keyboard.press('Enter');
    await expect(page.locator('#main')).toBeFocused();
  });

  test('the colours chosen are kept', async ({ page, url }) => {
    await page.goto(`${url}/access`);
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.locator('.me summary').click();
    await page.getByRole('button', { name: 'Dark' }).click();
    expect(await ground()).not.toBe(light);
    await page.reload();
    await expect.poll(ground).not.toBe(light);
  });

  test('a notification comes when something begins to wait, and leads to it', async ({ page, url, gateway }) => {
    await page.addInitScript(() => {
      const shown: { title: string; body: string; click: () => void; closed: boolean }[] = [];
      class Fake {
        static permission = 'granted';
        static requestPermission = () => Promise.resolve('granted');
        onclick: (() => void) | null = null;
        private readonly entry;
        constructor(title: string, options: { body: string }) {
          this.entry = { title, body: options.body, click: () => this.onclick?.(), closed: false };
          shown.push(this.entry);
        }
        close() {
          this.entry.closed = true;
        }
      }
      Object.assign(window, { Notification: Fake, shown });
    });
    await page.goto(`${url}/access`);
    await expect(page.locator('.link-state')).toHaveText('live');
    await page.locator('.me summary').click();
    await page.getByRole('button', { name: 'Notify me of new approvals' }).click();
    await expect(page.getByRole('button', { name: 'Notify me no more' })).toBeVisible();
    gateway.announce('approval', DDL, 'pending');
    gateway.announce('approval', HOSTILE, 'pending'); // not this person's to decide
    const shown = () => page.evaluate(() => (window as unknown as { shown: { title: string; body: string; closed: boolean }[] }).shown.map((entry) => ({ ...entry })));
    await expect.poll(async () => (await shown()).map((entry) => entry.title)).toEqual(['executor-7 waits on production']);
    await page.evaluate(() => (window as unknown as { shown: { click: () => void }[] }).shown[0]?.click());
    await expect(page).toHaveURL(new RegExp(DDL));
  });
});

const PAGES = [
  '/approvals', `/approvals/${DDL}`, `/approvals/${HOSTILE}`, '/approvals?view=history', '/sessions?state=all', `/sessions/${LIVE}`, `/sessions/${CLOSED}`, '/ledger', '/ledger/7',
  '/resources', '/access', '/policies', '/overview',
];

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe finds nothing serious on any page, ${colorScheme}`, async ({ page, url, gateway }) => {
    test.setTimeout(90_000);
    await page.emulateMedia({ colorScheme });
    for (const path of PAGES) {
      await page.goto(`${url}${path}`);
      await expect(page.locator('main h1').first()).toBeVisible();
      await expect(page.locator('.link-state')).toHaveText('live');
      for (const summary of await page.locator('main summary').all()) await summary.click();
      if (path === `/approvals/${DDL}`) await page.keyboard.press('d');
      await expectAccessible(page);
    }
    gateway.loggedIn = false;
    await page.goto(`${url}/approvals`);
    await expect(page.getByRole('link', { name: 'Sign in' })).toBeVisible();
    await expectAccessible(page);
  });
}

test.describe('on a phone', () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

  test('nothing is wider than the screen, and a request is decided with a thumb', async ({ page, url }) => {
    for (const path of PAGES) {
      await page.goto(`${url}${path}`);
      await expect(page.locator('main h1, .detail h2').filter({ visible: true }).first()).toBeVisible();
      await expect(page.locator('.state:text-matches("Reading")')).toHaveCount(0);
      expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(390);
    }
    await page.goto(`${url}/approvals`);
    await page.getByRole('link', { name: /executor-7/ }).tap();
    await expect(page.locator('.inbox')).toBeHidden();
    await page.getByRole('button', { name: 'Approve' }).tap();
    await page.getByRole('dialog').getByRole('button', { name: 'Approve' }).tap();
    await expect(page.locator('.request-state')).toContainText('approved');
    await page.getByRole('link', { name: 'All requests' }).tap();
    await expect(page.locator('.inbox')).toBeVisible();
    await expectAccessible(page);
  });
});
