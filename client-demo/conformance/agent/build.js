/** Bundles the agents once, for Node and for a page; `target/conformance` of the repository holds them. */
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const here = name => fileURLToPath(new URL(name, import.meta.url));
const OUT = fileURLToPath(new URL('../../../target/conformance/', import.meta.url));

/** The paths of the bundles. */
export async function bundles() {
  await Promise.all([bundle('node', 'es'), bundle('page', 'iife')]);
  return { node: `${OUT}node/agent.js`, page: `${OUT}page/agent.js` };
}

function bundle(name, format) {
  const lib = {
    entry: here(`./${name}.js`),
    formats: [format],
    name: 'duetAgent',
    fileName: () => 'agent.js',
  };
  return build({
    configFile: false,
    logLevel: 'error',
    root: here('..'),
    build: {
      lib,
      outDir: OUT + name,
      emptyOutDir: true,
      minify: false,
      target: 'es2023',
      rollupOptions: { external: [/^node:/] },
    },
  });
}
