/** Five Edgewise origins in processes of their own, and what is published to them and to the worker. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/dev-server.ts';
import { FaultyOrigin, poolOf } from '../../test/support/faulty-origins.ts';
import {
  type Bundle,
  bundle,
  edgewise,
  edgewiseBindings,
  startWorkerd,
  temporaryFolder,
} from '../workerd.ts';

/** The model that fits the edge, and the same one published for the origin only. */
export const models = { fits: 'mlp', originOnly: 'mlp-origin' } as const;

export interface Setup {
  readonly origins: readonly FaultyOrigin[];
  readonly bundle: Bundle;
  /** Of the worker, with both models in it. */
  readonly state: string;
}

const endpointCount = 5;
/** Median time of a run at an origin, as one on a GPU takes. */
export const serviceMs = 8;
/** What an endpoint may take, connection included. */
export const timeoutMs = 1000;

export async function prepare(): Promise<Setup> {
  const folders = modelFolders();
  const worker = await bundle('wrangler.toml');
  const state = temporaryFolder('state');
  const server = await startWorkerd({ bundle: worker, state, bindings: edgewiseBindings() });
  for (const { folder, flags } of folders) await edgewise(server.url, ['model', 'push', folder, ...flags]);
  await server.stop();

  const repository = temporaryFolder('repository');
  const options = { repository, serviceMs };
  const publisher = await FaultyOrigin.start({ ...options, name: 'publisher' });
  for (const { folder, flags } of folders) {
    await edgewise(new URL(publisher.url), ['model', 'push', folder, ...flags], publisher.adminKey);
  }
  await publisher.stop();
  const vars = { EDGEWISE_PRELOAD: Object.values(models).join(',') };
  const origins: FaultyOrigin[] = [];
  for (let count = 1; count <= endpointCount; count++) {
    origins.push(await FaultyOrigin.start({ ...options, name: `gpu-${count}`, vars }));
  }
  return { origins, bundle: worker, state };
}

/** Variables of the worker in front of them. */
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

function modelFolders(): readonly ModelFolder[] {
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
