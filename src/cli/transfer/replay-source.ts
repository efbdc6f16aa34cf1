/** Sources of the model that a replay runs. Blobs are found by digest, whatever their files are called. */

import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Bytes } from '../../bytes.ts';
import { createAdminClient } from '../../client/admin-client.ts';
import { createModelFilesClient } from '../../client/model-files-client.ts';
import { upstreamBlobStore } from '../../client/upstream.ts';
import { EdgewiseError } from '../../errors.ts';
import { decodeStored } from '../../repository/documents.ts';
import { type Manifest, manifestSchema } from '../../repository/schema.ts';
import { fileNames } from '../../repository/signing/model-signature.ts';
import { digestOf } from '../../storage/digest.ts';
import type { BlobStore, Digest } from '../../storage/types.ts';
import { errorCode, unreadableFile } from '../files.ts';

type ReadVersionFile = (file: string) => Promise<Bytes | undefined>;

/** Every blob of a server, read with the admin key. */
export function storedBlobs(url: string, adminKey: string): BlobStore {
  return upstreamBlobStore(createAdminClient({ url, key: adminKey }));
}

/** The files of a version that a server gives to callers. @param key A tenant's key; absent: unauthenticated. */
export function offeredBlobs(url: string, model: string, version: string, key?: string): BlobStore {
  const client = createModelFilesClient({ url, ...(key !== undefined && { key }) });
  return versionBlobs((file) => client.file(model, version, file));
}

/** A folder that `edgewise model pull` wrote. */
export function folderBlobs(folder: string): BlobStore {
  return versionBlobs(async (file) => {
    const path = join(folder, basename(file));
    try {
      return new Uint8Array(await readFile(path));
    } catch (cause) {
      if (errorCode(cause) === 'ENOENT') return undefined;
      throw unreadableFile(path, cause);
    }
  });
}

/** The blobs that the files of one version consist of. Each file is read once, when it is first needed. */
function versionBlobs(read: ReadVersionFile): BlobStore {
  const files = new Map<string, Promise<Bytes | undefined>>();
  const readOnce: ReadVersionFile = (file) => {
    const reading = files.get(file) ?? read(file);
    files.set(file, reading);
    return reading;
  };
  async function get(digest: Digest): Promise<Bytes | undefined> {
    for (const file of [fileNames.manifest, fileNames.signature]) {
      const bytes = await readOnce(file);
      if (bytes !== undefined && (await digestOf(bytes)) === digest) return bytes;
    }
    const manifest = await readOnce(fileNames.manifest);
    if (manifest === undefined) return undefined;
    const place = findPlace(
      decodeStored(manifestSchema, new TextDecoder().decode(manifest), 'the manifest'),
      digest,
    );
    const bytes = place && (await readOnce(place.file));
    return bytes?.slice(place?.begin, place?.end);
  }
  return {
    name: 'version',
    get,
    has: async (digest) => (await get(digest)) !== undefined,
    put: refuseToWrite,
    delete: refuseToWrite,
    discardWrong: refuseToWrite,
  };
}

interface Place {
  readonly file: string;
  readonly begin?: number;
  readonly end?: number;
}

function findPlace({ graph, terms, weights }: Manifest, digest: Digest): Place | undefined {
  if (digest === graph.digest) return { file: fileNames.graph };
  const part = graph.chunks?.find((each) => each.digest === digest);
  if (part !== undefined) {
    return { file: fileNames.graph, begin: part.offset, end: part.offset + part.byteLength };
  }
  if (digest === terms.licence.text) return { file: fileNames.licence };
  const chunk = weights?.chunks.find((each) => each.digest === digest);
  if (weights === undefined || chunk === undefined) return undefined;
  return { file: weights.path, begin: chunk.offset, end: chunk.offset + chunk.byteLength };
}

async function refuseToWrite(): Promise<never> {
  throw new EdgewiseError('forbidden', 'a replay only reads models');
}
