/** Builds the page into `dist`, which the binary embeds. `npx vite` serves it for work on it, with access from a running server. */
import { defineConfig } from 'vite';

const server = 'http://localhost:8080';

export default defineConfig({
  build: { target: 'es2023', sourcemap: false, modulePreload: { polyfill: false } },
  server: { host: 'localhost', proxy: { '/dev/token': server, '/duet': { target: server, ws: true } } },
});
