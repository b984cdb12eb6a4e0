// What every test has: a mock gateway of its own, and a page that fails the test when the browser
// complains (an error in the console, a violation of the content security policy).
import AxeBuilder from '@axe-core/playwright';
import { expect, test as base, type Page } from '@playwright/test';
import { MockGateway } from './mock/server';

const ASSETS = process.env['CONSOLE_DIST'] ?? new URL('../../console/dist', import.meta.url).pathname;

export const test = base.extend<{ gateway: MockGateway; url: string; complaints: string[] }>({
  gateway: async ({}, use) => {
    const gateway = new MockGateway(ASSETS);
    await use(gateway);
    await gateway.close();
  },
  url: async ({ gateway }, use) => use(await gateway.listen()),
  complaints: [
    async ({ page }, use) => {
      const complaints: string[] = [];
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('console', (message) => {
        // A failed request is logged by the browser; what the page makes of it is what is tested.
        if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
      });
      await use(complaints);
      expect(complaints).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

export async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page: page as never }).analyze();
  const serious = violations
    .filter((violation) => violation.impact === 'serious' || violation.impact === 'critical')
    .map((violation) => `${violation.id}: ${violation.help}: ${violation.nodes.map((node) => node.html).join(' | ').slice(0, 600)}`);
  expect(serious).toEqual([]);
}
