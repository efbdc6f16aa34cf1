/** Starts a worker under `wrangler dev` with its own empty repository, for tests of the whole service. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DevServer, type DevServerOptions, startDevServer } from '../../scripts/dev-server.ts';

/** Stopping it removes its storage. */
export async function startService(options: Omit<DevServerOptions, 'persistTo'> = {}): Promise<DevServer> {
  const persistTo = mkdtempSync(join(tmpdir(), 'edgewise-state-'));
  const server = await startDevServer({ ...options, persistTo });
  return {
    ...server,
    async stop() {
      await server.stop();
      rmSync(persistTo, { recursive: true, force: true });
    },
  };
}
