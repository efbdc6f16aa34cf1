/** Models for the servers: only that server answers `<server>/<model>`, any server answers `pool/<model>`. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { modelsDirectory } from '../../scripts/fetch-models.ts';
import type { AdminClient } from '../../src/client/admin-client.ts';
import { encodeIndex, encodeManifest, referencedBlobs } from '../../src/repository/documents.ts';
import { indexKey } from '../../src/repository/keys.ts';
import { fsBlobStore, fsStateStore } from '../../src/storage/fs.ts';
import { writeEchoModel } from '../interop/echo-models.ts';

const samples = ['mlp', 'digits', 'speech-detect'];
const echoes = ['BOOL', 'INT64', 'UINT8', 'FP16', 'FP64', 'BYTES'] as const;

export interface SourceModel {
  readonly name: string;
  readonly folder: string;
}

/** Writes the models' folders into `parent`. */
export function writeModels(parent: string, servers: readonly string[]): readonly SourceModel[] {
  const everywhere = servers.flatMap((server) => [
    ...samples.map((sample) => copySample(parent, `${server}/${sample}`, sample)),
    ...echoes.map((datatype) => writeEcho(parent, server, datatype)),
  ]);
  const shared = ['pool/digits', 'dead/digits'].map((name) => copySample(parent, name, 'digits'));
  return [...everywhere, ...shared];
}

function copySample(parent: string, name: string, sample: string): SourceModel {
  const folder = join(parent, name);
  cpSync(join(modelsDirectory, sample), folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, name }));
  return { name, folder };
}

function writeEcho(parent: string, server: string, datatype: (typeof echoes)[number]): SourceModel {
  const name = `${server}/echo-${datatype.toLowerCase()}`;
  return { name, folder: writeEchoModel(parent, name, datatype) };
}

/** Copies a published model into a separate repository in `folder`, in the layout of the `fs` store. */
export async function copyToFolder(client: AdminClient, name: string, folder: string): Promise<void> {
  const blobs = fsBlobStore(folder);
  const { index } = await client.model(name);
  for (const { version } of index.versions) {
    const { manifest } = await client.version(name, version);
    const { bytes, digest } = await encodeManifest(manifest);
    await blobs.put(digest, bytes);
    for (const blob of referencedBlobs(manifest)) {
      await blobs.put(blob.digest, await client.getBlob(blob.digest));
    }
  }
  await fsStateStore(folder).put(indexKey(name), encodeIndex(index), { ifAbsent: true });
}
