/** `npm run bench` runs every benchmark, `npm run bench -- overhead cold` those named, each in a process of its own. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

// Newer versions of Node have it without the flag, and end when given one that they do not know.
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
  console.error(`there is no benchmark ${unknown.join(', ')}, there are ${all.join(', ')}`);
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
