/** Where the command line has a model from that an answer is run again with: always by digests, whatever it is called. */

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

type ReadFile = (file: string) => Promise<Bytes | undefined>;

/** All that is stored on a server, for its admin. */
export function storedBlobs(url: string, adminKey: string): BlobStore {
  return upstreamBlobStore(createAdminClient({ url, key: adminKey }));
}

/** What a server gives of a version to callers who may have its weights. @param key Of a tenant; absent: anonymous. */
export function offeredBlobs(url: string, model: string, version: string, key?: string): BlobStore {
  const client = createModelFilesClient({ url, ...(key !== undefined && { key }) });
  return versionBlobs((file) => client.file(model, version, file));
}

/** A folder as `edgewise model pull` writes it. */
export function folderBlobs(folder: string): BlobStore {
  return versionBlobs(async (file) => {
    const path = join(folder, basename(file));
    try {
      return new Uint8Array(await readFile(path));
    } catch (cause) {
      if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
      throw new EdgewiseError('invalid_request', `${path} could not be read`, { cause });
    }
  });
}

/** The blobs that the files of one version are made of. Each file is read once, when something of it is first wanted. */
function versionBlobs(read: ReadFile): BlobStore {
  const files = new Map<string, Promise<Bytes | undefined>>();
  const once: ReadFile = (file) => {
    const reading = files.get(file) ?? read(file);
    files.set(file, reading);
    return reading;
  };
  async function get(digest: Digest): Promise<Bytes | undefined> {
    for (const file of [fileNames.manifest, fileNames.signature]) {
      const bytes = await once(file);
      if (bytes !== undefined && (await digestOf(bytes)) === digest) return bytes;
    }
    const manifest = await once(fileNames.manifest);
    if (manifest === undefined) return undefined;
    const place = placeOf(
      decodeStored(manifestSchema, new TextDecoder().decode(manifest), 'the manifest'),
      digest,
    );
    const bytes = place && (await once(place.file));
    return bytes?.slice(place?.begin, place?.end);
  }
  return {
    name: 'version',
    get,
    has: async (digest) => (await get(digest)) !== undefined,
    put: readOnly,
    delete: readOnly,
    discardWrong: readOnly,
  };
}

interface Place {
  readonly file: string;
  readonly begin?: number;
  readonly end?: number;
}

function placeOf({ graph, terms, weights }: Manifest, digest: Digest): Place | undefined {
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

async function readOnly(): Promise<never> {
  throw new EdgewiseError('forbidden', 'models are only read here');
}
