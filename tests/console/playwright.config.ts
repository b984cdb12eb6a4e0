import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: '.',
  testMatch: process.env['CONSOLE_TESTS'] === 'shots' ? 'shots.ts' : '*.spec.ts',
  fullyParallel: true,
  workers: 2,
  retries: 0,
  timeout: 30_000,
  expect: { timeout: 8_000 },
  outputDir: process.env['CONSOLE_OUTPUT'] ?? '/tmp/bulkhead-console-tests',
  reporter: [['list'], ...(process.env['CONSOLE_REPORT'] ? [['junit', { outputFile: process.env['CONSOLE_REPORT'] }] as const] : [])] as never,
  use: {
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    viewport: { width: 1280, height: 860 },
    ignoreHTTPSErrors: true,
    launchOptions: {
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update',
        '--disable-sync', '--disable-quic',
      ],
    },
  },
});
