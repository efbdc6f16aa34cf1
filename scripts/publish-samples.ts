/** Publishes the sample models of `models/` to a running worker. Versions that are published already stay as they are. */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type DevServer, root } from './dev-server.ts';

/** Returns the folders of the sample models, sorted by name. */
export function findSampleFolders(): readonly string[] {
  return globSync('models/**/config.json', { cwd: root })
    .map((file) => dirname(file))
    .sort();
}

/** @throws Error when a model cannot be published; the command line has printed the reason. */
export async function publishSamples(
  { url, adminKey, publisherKey }: DevServer,
  folders = findSampleFolders(),
): Promise<void> {
  for (const [index, folder] of folders.entries()) {
    console.log(`Publishing ${folder} (${index + 1} of ${folders.length}) …`);
    await runEdgewise(['model', 'push', folder, '--alias', 'stable', '--url', url], {
      EDGEWISE_ADMIN_KEY: adminKey,
      EDGEWISE_PUBLISHER_KEY: publisherKey,
    });
  }
}

/** Runs the command line in a process of its own, because it needs flags of Node. */
async function runEdgewise(args: readonly string[], keys: Readonly<Record<string, string>>): Promise<void> {
  const child = spawn(process.execPath, [join(root, 'bin/edgewise.js'), ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...keys },
  });
  const endChild = () => child.kill();
  process.once('exit', endChild);
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  process.off('exit', endChild);
  if (code !== 0) {
    throw new Error(`edgewise ${args.join(' ')} ended with ${code}`);
  }
}
