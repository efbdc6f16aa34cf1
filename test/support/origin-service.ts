/** Starts an origin in a process of its own over a folder, with models published directly into it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OriginServer, startOrigin } from '../../scripts/origin-server.ts';
import { Publisher } from '../../src/repository/index/publisher.ts';
import type { Manifest } from '../../src/repository/schema.ts';
import { fsBlobStore, fsStateStore } from '../../src/storage/fs.ts';
import { verifyReads } from '../../src/storage/tiered.ts';
import { publishers, signManifest, trustedPublishers } from './publisher.ts';
import { licenceBytes, licenceDigest } from './terms.ts';
import { type TinyModel, tinyManifest } from './tiny-model.ts';

export interface PublishedGraph {
  readonly graph: Uint8Array<ArrayBuffer>;
  readonly model: TinyModel;
}

export interface OriginServiceOptions {
  readonly models?: readonly PublishedGraph[];
  readonly vars?: Readonly<Record<string, string>>;
  readonly onOutput?: (text: string) => void;
}

/** Stopping it removes its storage. Runs on the CPU only unless `vars` say otherwise. */
export async function startOriginService(options: OriginServiceOptions = {}): Promise<OriginServer> {
  const folder = mkdtempSync(join(tmpdir(), 'edgewise-origin-'));
  for (const { graph, model } of options.models ?? []) await publishInto(folder, graph, model);
  const { onOutput } = options;
  const origin = await startOrigin({
    vars: {
      EDGEWISE_REPOSITORY_DIR: folder,
      EDGEWISE_EXECUTION_PROVIDERS: 'cpu',
      EDGEWISE_TRUSTED_PUBLISHERS: trustedPublishers,
      ...options.vars,
    },
    ...(onOutput === undefined ? {} : { onOutput }),
  });
  return {
    ...origin,
    async stop() {
      await origin.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function publishInto(
  folder: string,
  graph: Uint8Array<ArrayBuffer>,
  model: TinyModel,
): Promise<Manifest> {
  const blobs = verifyReads(fsBlobStore(folder), { defer: (work) => void work });
  const publisher = new Publisher({ state: fsStateStore(folder), blobs, publishers });
  const manifest = await tinyManifest(graph, model);
  await publisher.putBlob(manifest.graph.digest, graph);
  await publisher.putBlob(licenceDigest, licenceBytes);
  await publisher.publishVersion(manifest, await signManifest(manifest));
  return manifest;
}
