/** Starts five Edgewise origins as processes and publishes the models to them and to the worker. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/dev-server.ts';
import { FaultyOrigin, poolOf } from '../../test/support/faulty-origins.ts';
import {
  type Bundle,
  bundle,
  edgewiseBindings,
  runEdgewise,
  startWorkerd,
  temporaryFolder,
} from '../workerd.ts';

/** The model that fits the edge, and the same one published for the origin only. */
export const models = { fits: 'mlp', originOnly: 'mlp-origin' } as const;

export interface Setup {
  readonly origins: readonly FaultyOrigin[];
  readonly bundle: Bundle;
  /** State folder of the worker, with both models. */
  readonly state: string;
}

const endpointCount = 5;
/** Median time of a run at an origin, like that of a GPU. */
export const serviceMs = 8;
/** Time limit of an attempt at an endpoint, connection included. */
export const timeoutMs = 1000;

export async function prepare(): Promise<Setup> {
  const folders = makeModelFolders();
  const worker = await bundle('wrangler.toml');
  const state = temporaryFolder('state');
  const server = await startWorkerd({ bundle: worker, state, bindings: edgewiseBindings() });
  for (const { folder, flags } of folders) await runEdgewise(server.url, ['model', 'push', folder, ...flags]);
  await server.stop();

  const repository = temporaryFolder('repository');
  const options = { repository, serviceMs };
  const publisher = await FaultyOrigin.start({ ...options, name: 'publisher' });
  for (const { folder, flags } of folders) {
    await runEdgewise(new URL(publisher.url), ['model', 'push', folder, ...flags], publisher.adminKey);
  }
  await publisher.stop();
  const vars = { EDGEWISE_PRELOAD: Object.values(models).join(',') };
  const origins: FaultyOrigin[] = [];
  for (let count = 1; count <= endpointCount; count++) {
    origins.push(await FaultyOrigin.start({ ...options, name: `gpu-${count}`, vars }));
  }
  return { origins, bundle: worker, state };
}

/** Returns the bindings of the worker in front of the origins. */
export function workerBindings({ origins }: Setup, hedging: boolean): Record<string, string> {
  const { vars, secrets } = poolOf(origins, timeoutMs);
  return edgewiseBindings({
    ...vars,
    ...secrets,
    EDGEWISE_HEDGING: hedging ? 'on' : 'off',
    EDGEWISE_LOG: 'all',
  });
}

interface ModelFolder {
  readonly folder: string;
  readonly flags: readonly string[];
}

function makeModelFolders(): readonly ModelFolder[] {
  const original = join(root, 'models', models.fits);
  const folder = join(temporaryFolder('models'), models.originOnly);
  cpSync(original, folder, { recursive: true });
  const config: unknown = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...Object(config), name: models.originOnly }));
  return [
    { folder: original, flags: [] },
    { folder, flags: ['--origin'] },
  ];
}
