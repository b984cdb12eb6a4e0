// The pictures of docs/console.md. Not a test: CONSOLE_TESTS=shots npx playwright test
import { test } from './fixtures';

const SHOTS: [name: string, path: string, options?: { dark?: boolean; phone?: boolean; act?: string }][] = [
  ['approvals', '/approvals/b4t6zr2ye5gqoc7s'],
  ['approvals-ddl', '/approvals/q7m2kd5xw3hvna4t'],
  ['approvals-hostile', '/approvals/h5p3aw6nlk2dxe4v'],
  ['approvals-dark', '/approvals/q7m2kd5xw3hvna4t', { dark: true }],
  ['approvals-phone', '/approvals/b4t6zr2ye5gqoc7s', { phone: true }],
  ['inbox-phone', '/approvals', { phone: true }],
  ['sessions', '/sessions?state=all'],
  ['replay', '/sessions/0000000000059701', { act: 'replay' }],
  ['replay-dark', '/sessions/0000000000059701', { act: 'replay', dark: true }],
  ['ledger', '/ledger'],
  ['record', '/ledger/7', { dark: true }],
  ['ledger-phone', '/ledger', { phone: true }],
  ['resources', '/resources'],
  ['access', '/access'],
  ['policies', '/policies'],
  ['overview', '/overview'],
  ['overview-dark', '/overview', { dark: true }],
  ['overview-phone', '/overview', { phone: true }],
];

for (const [name, path, options = {}] of SHOTS) {
  test.describe(name, () => {
    test.use(options.phone ? { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true } : {});
    test(name, async ({ page, url }) => {
    await page.emulateMedia({ colorScheme: options.dark ? 'dark' : 'light' });
    await page.goto(`${url}${path}`);
    await page.locator('main').waitFor();
    if (options.act === 'replay') {
      await page.getByRole('button', { name: 'Replay', exact: true }).click();
      await page.getByLabel('Why you watch it').fill('INC-2207');
      await page.getByRole('button', { name: 'Watch', exact: true }).click();
      await page.getByText(/^\d+ events$/).waitFor();
      await page.getByRole('button', { name: 'Pause' }).click();
      await page.keyboard.press('End');
      await page.locator('.player').scrollIntoViewIfNeeded();
    }
    if (path === '/resources') await page.getByText('How to connect').first().click();
    await page.waitForLoadState('networkidle', { timeout: 1500 }).catch(() => undefined);
    await page.evaluate(() => document.fonts.ready);
    await page.screenshot({ path: `${process.env['SHOTS'] ?? '/tmp/shots'}/console-${name}.png` });
    });
  });
}
