/** Publishing one version: its blobs are stored first, and one compare-and-swap of the index makes it visible. */

import type { Bytes } from '../../bytes.ts';
import { EdgewiseError, type ErrorCode, isEdgewiseError } from '../../errors.ts';
import { digestOf } from '../../storage/digest.ts';
import type { PublishStatus, VersionPolicy } from '../common-schema.ts';
import { encodeManifest, missingBlob, readManifest } from '../documents.ts';
import type { Manifest, ModelIndex, VersionEntry } from '../schema.ts';
import { verifyStored } from '../signed-version.ts';
import type { Publishers } from '../signing/publishers.ts';
import { checkPushedSignature } from '../signing/pushed.ts';
import {
  emptyIndex,
  entryOfVersion,
  type NewVersion,
  versionConflict,
  withAlias,
  withdrawVersion,
  withVersion,
  withVersionPolicy,
  withVersionReplaced,
} from './changes.ts';
import { beginRemoval, completeRemoval, isRemovalInProgress, type RemovalStores } from './removal.ts';
import { changeIndex, readIndex } from './store.ts';

export interface PublishOptions {
  /** Set to the published version together with it. */
  readonly aliases?: readonly string[];
  readonly versionPolicy?: VersionPolicy;
}

export interface PublishStores extends RemovalStores {
  readonly publishers: Publishers;
}

/** Errors that make a published signature worthless: it is invalid, missing or damaged. */
const signatureProblems: ReadonlySet<ErrorCode> = new Set([
  'signature_invalid',
  'model_not_ready',
  'digest_mismatch',
]);

/** As `Publisher.publishVersion`. */
export async function publishVersion(
  stores: PublishStores,
  manifest: Manifest,
  signature: Bytes,
  options: PublishOptions = {},
): Promise<PublishStatus> {
  const { state, blobs, wallClock, publishers } = stores;
  const { name, version } = manifest;
  const { bytes, digest } = await encodeManifest(manifest);
  await checkPushedSignature(signature, publishers, { manifest, manifestDigest: digest });
  await checkBlobs(stores, manifest);
  const added: NewVersion = {
    manifest,
    manifestDigest: digest,
    signature: await digestOf(signature),
    publishedAt: new Date(wallClock()).toISOString(),
  };
  const published = await readIndex(state, name);
  const standing = published && entryOfVersion(published, version);
  let status = await statusOf(stores, standing, added);
  if (status !== 'unchanged') {
    await blobs.put(digest, bytes);
    await blobs.put(added.signature, signature);
  }
  const removal =
    status === 'replaced' && standing !== undefined
      ? await beginRemoval(stores, name, leftovers(standing, added))
      : undefined;

  let before: ModelIndex | undefined;
  await changeIndex(state, name, async (index) => {
    before = index;
    const base = index ?? emptyIndex(name);
    status = await statusOf(stores, entryOfVersion(base, version), added);
    let next = base;
    if (status === 'created') next = withVersion(base, added);
    if (status === 'replaced') next = withVersionReplaced(base, added);
    if (options.versionPolicy !== undefined) next = withVersionPolicy(next, options.versionPolicy);
    for (const alias of options.aliases ?? []) next = withAlias(next, alias, version);
    return next;
  });
  if (removal !== undefined) await completeRemoval(stores, removal);
  if (status === 'unchanged') return status;

  if (!(await isRemovalInProgress(stores)) && (await isComplete(stores, added))) return status;
  // A replaced version was not served before, and is not served now while blobs are missing.
  if (status === 'created') {
    await changeIndex(state, name, (index) => index && withdrawVersion(index, version, before));
  }
  throw new EdgewiseError(
    'overloaded',
    `${name}@${version} was not published: blobs are being removed at the same time, push again`,
    { retryAfterSeconds: 1 },
  );
}

async function checkBlobs({ blobs }: PublishStores, manifest: Manifest): Promise<void> {
  const missing = await missingBlob(blobs, manifest);
  if (missing === undefined) return;
  throw new EdgewiseError(
    'invalid_request',
    `${manifest.name}@${manifest.version} cannot be published: blob ${missing.digest} is not stored with its ` +
      `${missing.byteLength} bytes; expected all blobs to be stored before the manifest`,
  );
}

/**
 * Returns what publishing `added` means when the index has `standing` under the same number.
 *
 * @throws EdgewiseError `conflict`
 */
async function statusOf(
  stores: PublishStores,
  standing: VersionEntry | undefined,
  { manifest, manifestDigest }: NewVersion,
): Promise<PublishStatus> {
  if (standing === undefined) return 'created';
  let held: Manifest | undefined = manifest;
  if (standing.manifestDigest !== manifestDigest) {
    held = (await readManifest(stores.blobs, standing.manifestDigest))?.manifest;
    if (held?.inputsDigest !== manifest.inputsDigest) throw versionConflict(manifest);
  }
  return (await isAccepted(stores, held, standing)) ? 'unchanged' : 'replaced';
}

async function isAccepted(
  { blobs, publishers }: PublishStores,
  manifest: Manifest,
  { manifestDigest, signature }: VersionEntry,
): Promise<boolean> {
  try {
    await verifyStored(blobs, publishers, { manifest, manifestDigest }, signature);
    return true;
  } catch (error) {
    if (isEdgewiseError(error) && signatureProblems.has(error.code)) return false;
    throw error;
  }
}

/** Returns what has to be removed once `added` has taken the place of `standing`. */
function leftovers({ manifestDigest, signature }: VersionEntry, added: NewVersion) {
  return {
    manifests: manifestDigest === added.manifestDigest ? [] : [manifestDigest],
    signatures: signature === undefined ? [] : [signature],
  };
}

/** Reports whether the manifest, the signature and every blob of the version are stored. */
async function isComplete(
  { blobs }: PublishStores,
  { manifest, manifestDigest, signature }: NewVersion,
): Promise<boolean> {
  if (!(await blobs.has(manifestDigest)) || !(await blobs.has(signature))) return false;
  return (await missingBlob(blobs, manifest)) === undefined;
}
