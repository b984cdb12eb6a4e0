import { defineConfig } from 'vite';

// `npm run dev` shows the console against the mock server of tests/console (npm run mock there).
const gateway = 'http://127.0.0.1:9480';

export default defineConfig({
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: {
    target: 'es2022',
    // The content security policy allows nothing inline: no data: URLs, no polyfill in the page.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    reportCompressedSize: false,
  },
  server: {
    proxy: { '/v1': { target: gateway, secure: false }, '/login/callback': { target: gateway, secure: false } },
  },
});
