#!/usr/bin/env node
// Starts the command line in a Node that runs TypeScript and has WebAssembly's promise integration (JSPI), which the
// edge's engine uses to read weights while it loads a model.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const major = Number(process.versions.node.split('.')[0]);

if (major < 24) {
  console.error(
    `edgewise: needs Node 24 or newer, this is ${process.version}\n  next: npm run edgewise -- <arguments> uses the one of this folder`,
  );
  process.exit(2);
}

// Newer versions have it without the flag, and end when given one that they do not know.
const flags = 'Suspending' in WebAssembly ? [] : ['--experimental-wasm-jspi'];
// What was compiled once is kept in this folder, which halves the time that a command takes to start. Not in the machine's
// temporary folder, where others could put code of theirs.
const compiled = fileURLToPath(new URL('../node_modules/.cache/node', import.meta.url));
const child = spawn(process.execPath, [...flags, main, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { NODE_COMPILE_CACHE: compiled, ...process.env },
});
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => child.kill(signal));
}
child.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
});
