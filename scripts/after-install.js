/**
 * Runs at the end of `npm install`: removes files for other platforms and files that are not needed, and prints a line if
 * this Node is too old. JavaScript, because an older Node may run it.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url));
const packages = join(root, 'node_modules');

// This package holds six platforms; most others are installed for one.
const runtimes = join(packages, 'onnxruntime-node', 'bin', 'napi-v6');
removeOthers(runtimes, process.platform);
removeOthers(join(runtimes, process.platform), process.arch);

// Node's headers are for compilers, and nothing is compiled.
for (const name of namesIn(join(packages, 'node', 'node_modules'))) {
  if (name.startsWith('node-')) remove(join(packages, 'node', 'node_modules', name, 'include'));
}

const major = Number(process.versions.node.split('.')[0]);
if (major < 24) console.log(`Edgewise runs on Node 24 or newer: this is ${process.version}.`);

/** @param {string} folder @param {string} kept */
function removeOthers(folder, kept) {
  const names = namesIn(folder);
  // On a platform that the package does not know, keep everything: its runtime may be added by hand.
  if (!names.includes(kept)) return;
  for (const name of names) if (name !== kept) remove(join(folder, name));
}

/** @param {string} folder */
function namesIn(folder) {
  try {
    return readdirSync(folder);
  } catch {
    // Not installed, e.g. with --omit=dev.
    return [];
  }
}

/** @param {string} path */
function remove(path) {
  rmSync(path, { recursive: true, force: true });
}
