/** Runs every benchmark (`npm run bench`) or the named ones (`npm run bench -- overhead cold`), each in its own process. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

// Newer versions of Node have JSPI without the flag, and refuse unknown flags.
const flags =
  'Suspending' in Object(Reflect.get(globalThis, 'WebAssembly')) ? [] : ['--experimental-wasm-jspi'];
const all = [
  'overhead',
  'governance',
  'hop',
  'faults',
  'wire',
  'cold',
  'memory',
  'publish-memory',
  'throughput',
  'origin-load',
  'protocol',
];
const chosen = process.argv.length > 2 ? process.argv.slice(2) : all;
const unknown = chosen.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`unknown benchmark ${unknown.join(', ')}; expected some of ${all.join(', ')}`);
  process.exit(2);
}
for (const script of ['scripts/build-ort.ts', 'scripts/fetch-models.ts'])
  run(join(import.meta.dirname, '..', script));
for (const name of chosen) {
  console.log(`\n# ${name}`);
  run(join(import.meta.dirname, `${name}.ts`));
}

function run(file: string): void {
  const { status } = spawnSync(process.execPath, [...flags, file], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
