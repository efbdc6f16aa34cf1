/**
 * What `npm install` ends with: removes what packages hold for other platforms than this one, or for nothing that is done
 * here, and says so when no Node is there that runs the rest. JavaScript, since it may be an older Node that runs it.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url));
const packages = join(root, 'node_modules');

// One package for six platforms, as opposed to most others, which npm installs for one.
const runtimes = join(packages, 'onnxruntime-node', 'bin', 'napi-v6');
removeOthers(runtimes, process.platform);
removeOthers(join(runtimes, process.platform), process.arch);

// The headers of Node, for compilers: nothing here is compiled.
for (const name of namesIn(join(packages, 'node', 'node_modules'))) {
  if (name.startsWith('node-')) remove(join(packages, 'node', 'node_modules', name, 'include'));
}

const major = Number(process.versions.node.split('.')[0]);
if (major < 24) console.log(`Edgewise runs on Node 24 or newer: this is ${process.version}.`);

/** @param {string} folder @param {string} kept */
function removeOthers(folder, kept) {
  const names = namesIn(folder);
  // A platform that the package knows nothing of keeps all: its runtime may be added by hand.
  if (!names.includes(kept)) return;
  for (const name of names) if (name !== kept) remove(join(folder, name));
}

/** @param {string} folder */
function namesIn(folder) {
  try {
    return readdirSync(folder);
  } catch {
    // Not installed, as with --omit=dev.
    return [];
  }
}

/** @param {string} path */
function remove(path) {
  rmSync(path, { recursive: true, force: true });
}
