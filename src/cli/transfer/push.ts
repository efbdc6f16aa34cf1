/** Publishing a model from the source tree to a worker: `edgewise model push`, and what scripts call. */
import { createHash } from 'node:crypto';
import type { Clock } from '../../async/clock.ts';
import {
  type AdminClient,
  createAdminClient,
  type PublishedVersion,
  type PublishVersionOptions,
} from '../../client/admin-client.ts';
import { EdgewiseError, type ErrorCode, isEdgewiseError } from '../../errors.ts';
import { createPublishEngines } from '../../platform/node-cli.ts';
import type { PublishStatus } from '../../repository/common-schema.ts';
import { encodeManifest } from '../../repository/documents.ts';
import { buildPackage } from '../../repository/publish/build.ts';
import { type ModelFile, readSource } from '../../repository/publish/source.ts';
import type { PackageBlob, PublishEngines, PublishStep } from '../../repository/publish/types.ts';
import type { Manifest } from '../../repository/schema.ts';
import { signModel } from '../../repository/signing/model-signature.ts';
import { readSigningKey } from '../signing-key.ts';
import {
  comparedVersion,
  conflictReasons,
  leavingService,
  type PushedVersion,
  termChanges,
} from './push-changes.ts';
import { readModelFolder } from './source.ts';

export interface PushProgress {
  readonly step: PublishStep | 'compare' | 'upload' | 'sign' | 'publish';
  readonly detail: string;
}

export interface PushOptions {
  readonly url: string;
  readonly adminKey: string;
  /** PEM of the private key that the model is signed with. It never leaves this machine. */
  readonly publisherKey: string;
  /** Default: the highest version folder. */
  readonly version?: string;
  /** Set to the version together with it. */
  readonly aliases?: readonly string[];
  /** Publish for the origin only. */
  readonly originOnly?: boolean;
  /** Of the worker that will serve it; default 96 MiB. */
  readonly memoryCapBytes?: number;
  readonly fetch?: typeof fetch;
  readonly clock?: Clock;
  /** Asked for only when there is something to build. Default: native ONNX Runtime and the worker's WASM build. */
  readonly engines?: () => Promise<PublishEngines>;
  onProgress?(progress: PushProgress): void;
}

export interface PushResult {
  readonly name: string;
  readonly version: string;
  /** `unchanged`: the same source was published before; nothing was built or uploaded. */
  readonly status: PublishStatus;
  readonly manifest: Manifest;
  readonly uploadedBlobs: number;
  readonly uploadedBytes: number;
}

const parallelChecks = 4;
/** Blobs of 8 MiB: two leave a worker, which holds 24 MiB of bodies by default, room for its callers. */
const parallelUploads = 2;

/**
 * Publishes `models/<name>`: checks, optimises, cuts, measures, uploads what is missing, signs, and makes the version
 * visible last. Doing it again changes nothing; doing it again after it was cut off completes it.
 *
 * @throws EdgewiseError `conflict` when the version is published with other content; as `buildPackage` for a model that
 * cannot be served; `invalid_request` for a key that is not usable; the server's code otherwise, `forbidden` where it does
 * not trust the key.
 */
export async function pushModel(folder: string, options: PushOptions): Promise<PushResult> {
  const { url, adminKey, aliases = [], onProgress } = options;
  const client = createAdminClient({ url, key: adminKey, ...(options.fetch && { fetch: options.fetch }) });
  const signingKey = await readSigningKey(options.publisherKey);
  const input = await readModelFolder(folder, options.version);
  const { config, version } = input;
  const originOnly = options.originOnly ?? false;
  const source = await readSource(input, { originOnly });

  const published = await publishedVersion(client, config.name, version);
  if (published !== undefined && published.manifest.inputsDigest !== source.inputsDigest) {
    const reasons = conflictReasons(published.manifest, { ...source, config });
    const what = reasons.length === 0 ? 'with other content' : `with other content (${reasons.join('; ')})`;
    throw new EdgewiseError(
      'conflict',
      `${config.name}@${version} is already published ${what}, and a version never changes: put the new model into a folder of its own, ${folder}/${Number(version) + 1}`,
    );
  }
  const versionPolicy = config.versionPolicy && { versionPolicy: config.versionPolicy };
  await sayChanges(
    client,
    { name: config.name, version, aliases, versionPolicy: config.versionPolicy },
    source,
    onProgress,
  );
  if (published !== undefined && (await republish(client, published, { aliases, ...versionPolicy }))) {
    onProgress?.({ step: 'compare', detail: `${config.name}@${version} is published from the same source` });
    if (published.manifest.rowWise === undefined && published.manifest.maxBatchSize > 1) {
      onProgress?.({
        step: 'warning',
        detail: `${config.name}@${version} was published before a push measured whether rows depend on one another: origins run its requests one by one until it is pushed as a new version`,
      });
    }
    return {
      name: config.name,
      version,
      status: 'unchanged',
      manifest: published.manifest,
      uploadedBlobs: 0,
      uploadedBytes: 0,
    };
  }

  const engines = await (options.engines ?? createPublishEngines)();
  const { manifest, blobs } = await buildPackage(
    input,
    {
      engines,
      originOnly,
      cpuMs: threadCpuMs,
      sha256: () => createHash('sha256'),
      ...(options.memoryCapBytes === undefined ? {} : { memoryCapBytes: options.memoryCapBytes }),
      onProgress: (step, detail) => onProgress?.({ step, detail }),
    },
    source,
  );
  const uploaded = await upload(client, blobs, onProgress);
  const { digest: manifestDigest } = await encodeManifest(manifest);
  const signature = await signModel({ manifest, manifestDigest }, signingKey);
  onProgress?.({ step: 'sign', detail: `with the key ${signingKey.fingerprint}` });
  const status = await client.publishVersion(manifest, signature, {
    aliases,
    ...versionPolicy,
  });
  onProgress?.({ step: 'publish', detail: `${config.name}@${version} ${status}` });
  return {
    name: config.name,
    version,
    status,
    manifest,
    uploadedBlobs: uploaded.length,
    uploadedBytes: uploaded.reduce((sum, { byteLength }) => sum + byteLength, 0),
  };
}

/** Says what the push will change for those who use the model, while it can still be ended. */
async function sayChanges(
  client: AdminClient,
  pushed: PushedVersion,
  { terms }: Pick<ModelFile, 'terms'>,
  onProgress: PushOptions['onProgress'],
): Promise<void> {
  const { name, version } = pushed;
  const found = await unlessAbsent(client.model(name));
  if (found === undefined) return;
  const { index } = found;
  for (const leaving of leavingService(index, pushed)) {
    onProgress?.({
      step: 'warning',
      detail: `${name}@${leaving} goes out of service with this push, by the version policy: edgewise model versions ${name} --latest 2 keeps it, or an alias that points to it`,
    });
  }
  const compared = comparedVersion(index);
  if (compared === undefined || compared === version) return;
  const before = await unlessAbsent(client.version(name, compared));
  const changes = before === undefined ? [] : termChanges(before.manifest.terms, terms);
  if (changes.length > 0) {
    onProgress?.({ step: 'compare', detail: `terms differ from ${name}@${compared}: ${changes.join('; ')}` });
  }
}

/** Of this thread alone: the compiler's and the collector's threads are not the model's cost. */
function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

async function publishedVersion(
  client: AdminClient,
  name: string,
  version: string,
): Promise<PublishedVersion | undefined> {
  return unlessAbsent(client.version(name, version));
}

/** Undefined for a model or version that is not there. */
async function unlessAbsent<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (isEdgewiseError(error) && (error.code === 'model_not_found' || error.code === 'version_not_found')) {
      return undefined;
    }
    throw error;
  }
}

/**
 * Sets aliases and policy of what is published, with the signature that it has. False where it is to be built and signed
 * anew: the server has lost one of its blobs, or it is not signed by anybody who is trusted there now. What a server hands
 * out is not signed unseen.
 */
async function republish(
  client: AdminClient,
  { manifest, signature }: PublishedVersion,
  options: PublishVersionOptions,
): Promise<boolean> {
  if (signature === undefined) {
    return false;
  }
  try {
    await client.publishVersion(manifest, await client.getBlob(signature), options);
    return true;
  } catch (error) {
    if (isEdgewiseError(error) && mended.has(error.code)) {
      return false;
    }
    throw error;
  }
}

/** What a new build and signature mend. */
const mended: ReadonlySet<ErrorCode> = new Set([
  'invalid_request',
  'forbidden',
  'not_found',
  'digest_mismatch',
]);

/** Sends the blobs that the server lacks; those are the result. */
async function upload(
  client: AdminClient,
  blobs: readonly PackageBlob[],
  onProgress: PushOptions['onProgress'],
): Promise<readonly PackageBlob[]> {
  const distinct = [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
  const missing: PackageBlob[] = [];
  await inParallel(parallelChecks, distinct, async (blob) => {
    if (!(await client.hasBlob(blob.digest))) {
      missing.push(blob);
    }
  });
  const totalBytes = missing.reduce((sum, { byteLength }) => sum + byteLength, 0);
  onProgress?.({
    step: 'upload',
    detail: `${missing.length} of ${distinct.length} blobs are missing, ${totalBytes} bytes`,
  });
  let sentBytes = 0;
  await inParallel(parallelUploads, missing, async ({ digest, byteLength, read }) => {
    await client.putBlob(digest, await read());
    sentBytes += byteLength;
    onProgress?.({ step: 'upload', detail: `${sentBytes} of ${totalBytes} bytes` });
  });
  return missing;
}

async function inParallel<T>(
  workers: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = items.values();
  await Promise.all(
    Array.from({ length: workers }, async () => {
      for (const item of waiting) {
        await work(item);
      }
    }),
  );
}
