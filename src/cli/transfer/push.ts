/** Publishes a model from its folder to a worker: `edgewise model push`, and scripts. */
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
import type { PackageInput, PublishEngines } from '../../repository/publish/types.ts';
import type { Manifest } from '../../repository/schema.ts';
import { signModel } from '../../repository/signing/model-signature.ts';
import { readSigningKey } from '../signing-key.ts';
import { comparedVersion, conflictReasons, leavingService, termChanges } from './push-changes.ts';
import type { ReportProgress } from './push-progress.ts';
import { uploadMissing } from './push-upload.ts';
import { readModelFolder } from './source.ts';

export interface PushOptions {
  readonly url: string;
  readonly adminKey: string;
  /** PEM of the private key that signs the model. It never leaves this machine. */
  readonly publisherKey: string;
  /** Default: the highest version folder. */
  readonly version?: string;
  /** Set to the version when it becomes visible. */
  readonly aliases?: readonly string[];
  /** Publish for the origin only. */
  readonly originOnly?: boolean;
  /** WASM memory of the worker that will serve the model; default 96 MiB. */
  readonly memoryCapBytes?: number;
  readonly fetch?: typeof fetch;
  readonly clock?: Clock;
  /** Called only if there is something to build. Default: native ONNX Runtime and the worker's WASM build. */
  readonly engines?: () => Promise<PublishEngines>;
  readonly onProgress?: ReportProgress;
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

interface Push {
  readonly client: AdminClient;
  readonly input: PackageInput;
  readonly source: ModelFile;
  readonly options: PushOptions;
}

/**
 * Publishes `models/<name>`: checks, optimises, cuts, measures, uploads missing blobs, signs, and makes the version visible
 * last. A repeated push changes nothing; repeated after an interruption, it completes the first.
 *
 * @throws EdgewiseError `conflict` if the version is published with other content; as `buildPackage` for a model that
 * cannot be served; `invalid_request` for a key that is not usable; otherwise the server's code, `forbidden` if the server
 * does not trust the key.
 */
export async function pushModel(folder: string, options: PushOptions): Promise<PushResult> {
  const { url, adminKey, onProgress } = options;
  const client = createAdminClient({ url, key: adminKey, ...(options.fetch && { fetch: options.fetch }) });
  const signingKey = await readSigningKey(options.publisherKey);
  const input = await readModelFolder(folder, options.version);
  const { name } = input.config;
  const { version } = input;
  const source = await readSource(input, { originOnly: options.originOnly ?? false });
  const push: Push = { client, input, source, options };

  const published = await unlessAbsent(client.version(name, version));
  if (published !== undefined) checkSameSource(published.manifest, push, folder);
  await reportChanges(push);
  if (published !== undefined && (await republish(push, published))) {
    return reportUnchanged(published.manifest, onProgress);
  }

  const { manifest, blobs } = await build(push);
  const uploaded = await uploadMissing(client, blobs, onProgress);
  const { digest: manifestDigest } = await encodeManifest(manifest);
  const signature = await signModel({ manifest, manifestDigest }, signingKey);
  onProgress?.({ step: 'sign', detail: `with the key ${signingKey.fingerprint}` });
  const status = await client.publishVersion(manifest, signature, publishOptions(push));
  onProgress?.({ step: 'publish', detail: `${name}@${version} ${status}` });
  return {
    name,
    version,
    status,
    manifest,
    uploadedBlobs: uploaded.length,
    uploadedBytes: uploaded.reduce((sum, { byteLength }) => sum + byteLength, 0),
  };
}

function publishOptions({ input, options }: Push): PublishVersionOptions {
  const { versionPolicy } = input.config;
  return { aliases: options.aliases ?? [], ...(versionPolicy && { versionPolicy }) };
}

/** @throws EdgewiseError `conflict` */
function checkSameSource(published: Manifest, { input, source }: Push, folder: string): void {
  if (published.inputsDigest === source.inputsDigest) return;
  const reasons = conflictReasons(published, { ...source, config: input.config });
  const what = reasons.length === 0 ? 'with other content' : `with other content (${reasons.join('; ')})`;
  throw new EdgewiseError(
    'conflict',
    `${input.config.name}@${input.version} is already published ${what}, and a version never changes: put the new model into a folder of its own, ${folder}/${Number(input.version) + 1}`,
  );
}

/** Reports what the push will change for users of the model, while it can still be stopped. */
async function reportChanges({ client, input, source, options }: Push): Promise<void> {
  const { version } = input;
  const { name, versionPolicy } = input.config;
  const { aliases = [], onProgress } = options;
  const found = await unlessAbsent(client.model(name));
  if (found === undefined) return;
  const { index } = found;
  for (const leaving of leavingService(index, { version, aliases, versionPolicy })) {
    onProgress?.({
      step: 'warning',
      detail: `${name}@${leaving} goes out of service with this push, by the version policy: edgewise model versions ${name} --latest 2 keeps it, or an alias that points to it`,
    });
  }
  const compared = comparedVersion(index);
  if (compared === undefined || compared === version) return;
  const before = await unlessAbsent(client.version(name, compared));
  const changes = before === undefined ? [] : termChanges(before.manifest.terms, source.terms);
  if (changes.length > 0) {
    onProgress?.({ step: 'compare', detail: `terms differ from ${name}@${compared}: ${changes.join('; ')}` });
  }
}

/** Error codes that a new build and a new signature repair. */
const repairable: ReadonlySet<ErrorCode> = new Set([
  'invalid_request',
  'forbidden',
  'not_found',
  'digest_mismatch',
]);

/**
 * Sets aliases and policy of the published version, with the signature that it has. Returns false if the version must be
 * built and signed again: the server has lost a blob, or trusts none of its signers. A manifest from the server is never
 * signed without being built here.
 */
async function republish(push: Push, { manifest, signature }: PublishedVersion): Promise<boolean> {
  const { client } = push;
  if (signature === undefined) return false;
  try {
    await client.publishVersion(manifest, await client.getBlob(signature), publishOptions(push));
    return true;
  } catch (error) {
    if (isEdgewiseError(error) && repairable.has(error.code)) return false;
    throw error;
  }
}

function reportUnchanged(manifest: Manifest, onProgress: ReportProgress | undefined): PushResult {
  const { name, version } = manifest;
  onProgress?.({ step: 'compare', detail: `${name}@${version} is published from the same source` });
  if (manifest.rowWise === undefined && manifest.maxBatchSize > 1) {
    onProgress?.({
      step: 'warning',
      detail: `${name}@${version} was published before a push measured whether rows depend on one another: origins run its requests one by one until it is pushed as a new version`,
    });
  }
  return { name, version, status: 'unchanged', manifest, uploadedBlobs: 0, uploadedBytes: 0 };
}

async function build({ input, source, options }: Push): ReturnType<typeof buildPackage> {
  const { engines = createPublishEngines, originOnly = false, memoryCapBytes, onProgress } = options;
  return buildPackage(
    input,
    {
      engines: await engines(),
      originOnly,
      cpuMs: threadCpuMs,
      sha256: () => createHash('sha256'),
      ...(memoryCapBytes !== undefined && { memoryCapBytes }),
      onProgress: (step, detail) => onProgress?.({ step, detail }),
    },
    source,
  );
}

/** CPU time of this thread alone: the threads of the compiler and the garbage collector are not the model's cost. */
function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Returns undefined for a model or version that does not exist. */
async function unlessAbsent<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (isEdgewiseError(error) && (error.code === 'model_not_found' || error.code === 'version_not_found')) {
      return undefined;
    }
    throw error;
  }
}
