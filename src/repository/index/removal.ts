/**
 * Deletes the blobs of versions that are no longer in an index, and never one that another version needs.
 *
 * A removal first writes a journal, `removals/<name>.json`, with the manifests to delete and a lease. Only then it removes
 * the versions from the index, collects what all remaining indexes refer to, and deletes the rest. A publisher writes its
 * index first and looks for live journals afterwards. Both stores are strongly consistent, so at least one of the two sees
 * the other: the removal spares the blob, or the publisher withdraws the version. A removal that was cut off leaves its
 * journal, and the next removal in the same model completes it.
 */
import { z } from 'zod';
import { EdgewiseError } from '../../errors.ts';
import type { Digest, StateStore, VerifiedBlobStore } from '../../storage/types.ts';
import { digestSchema } from '../common-schema.ts';
import { decodeStored, readReferences } from '../documents.ts';
import { indexPrefix, nameOfIndexKey, removalKey, removalPrefix } from '../keys.ts';
import type { ModelIndex } from '../schema.ts';
import { withoutVersion } from './changes.ts';
import { changeIndex, readIndex } from './store.ts';

const leaseMs = 30_000;
/** No deletion begins in this last part of a lease, so that none is under way when the lease ends. */
const leaseMarginMs = 10_000;

const journalSchema = z.strictObject({
  /** Until then (milliseconds since 1970) the removal may be deleting. */
  leaseEndsAt: z.int(),
  manifests: z.array(digestSchema),
  /** Signature bundles. Once an index has lost them, no other record names their version. */
  signatures: z.array(digestSchema).default([]),
});

/** What a removal deletes: manifests with all that they refer to, and signatures. */
export interface Going {
  readonly manifests: readonly Digest[];
  readonly signatures: readonly Digest[];
}

export interface RemovalStores {
  readonly state: StateStore;
  readonly blobs: VerifiedBlobStore;
  /** Wall clock, milliseconds since 1970: leases are compared between machines. */
  readonly wallClock: () => number;
}

/** A removal under way, as `beginRemoval` recorded it. */
export interface Removal extends Going {
  readonly key: string;
  readonly etag: string;
  readonly leaseEndsAt: number;
}

function removalInProgressError(name: string): EdgewiseError {
  return new EdgewiseError('overloaded', `another removal in model ${name} is under way`, {
    retryAfterSeconds: leaseMs / 1000,
  });
}

/**
 * Writes the journal for what is `going`, and takes over what an earlier removal in this model left undone.
 *
 * @returns undefined if there is nothing to delete.
 * @throws EdgewiseError `overloaded` while another removal in this model holds its lease.
 */
export async function beginRemoval(
  stores: RemovalStores,
  name: string,
  going: Going,
): Promise<Removal | undefined> {
  const { state, wallClock } = stores;
  const key = removalKey(name);
  const standing = await state.get(key);
  const earlier = standing && decodeStored(journalSchema, standing.value, key);
  if (earlier !== undefined && earlier.leaseEndsAt > wallClock()) throw removalInProgressError(name);
  const manifests = [...new Set([...(earlier?.manifests ?? []), ...going.manifests])];
  const signatures = [...new Set([...(earlier?.signatures ?? []), ...going.signatures])];
  if (manifests.length + signatures.length === 0) return undefined;
  const leaseEndsAt = wallClock() + leaseMs;
  const etag = await state.put(
    key,
    JSON.stringify({ leaseEndsAt, manifests, signatures }),
    standing === undefined ? { ifAbsent: true } : { ifMatch: standing.etag },
  );
  if (etag === undefined) throw removalInProgressError(name);
  return { key, etag, leaseEndsAt, manifests, signatures };
}

/**
 * Deletes the removal's signatures, then the blobs that only its manifests refer to, then the manifests, then the journal.
 *
 * @throws EdgewiseError `overloaded` if the lease is nearly over: the next removal continues from there.
 */
export async function completeRemoval(stores: RemovalStores, removal: Removal): Promise<void> {
  const { state, blobs, wallClock } = stores;
  const needed = await collectNeededDigests(stores);
  async function remove(digest: Digest): Promise<void> {
    if (needed.has(digest)) return;
    if (wallClock() > removal.leaseEndsAt - leaseMarginMs) {
      throw new EdgewiseError('overloaded', 'the removal is not complete yet: remove the version again', {
        retryAfterSeconds: leaseMs / 1000,
      });
    }
    await blobs.delete(digest);
  }
  for (const digest of removal.signatures) await remove(digest);
  for (const digest of removal.manifests) {
    if (needed.has(digest)) continue;
    // The manifest is deleted last: until then it tells a later removal which blobs are left.
    for (const reference of (await readReferences(blobs, digest)) ?? []) await remove(reference.digest);
    await remove(digest);
  }
  await state.delete(removal.key, { ifMatch: removal.etag });
}

/**
 * Removes the selected versions from the index, then deletes the blobs that no other version needs.
 *
 * @throws EdgewiseError as `Publisher.removeVersion`
 */
export async function removeVersions(
  stores: RemovalStores,
  name: string,
  selects: (version: string) => boolean,
): Promise<void> {
  const { state } = stores;
  const select = (index: ModelIndex | undefined) =>
    (index?.versions ?? []).filter(({ version }) => selects(version));
  const going = select(await readIndex(state, name));
  const removal = await beginRemoval(stores, name, {
    manifests: going.map(({ manifestDigest }) => manifestDigest),
    signatures: going.map(({ signature }) => signature).filter((signature) => signature !== undefined),
  });
  if (removal === undefined) return;
  await changeIndex(state, name, (index) => {
    let next = index;
    for (const { version, manifestDigest } of select(index)) {
      if (!removal.manifests.includes(manifestDigest)) {
        throw new EdgewiseError('conflict', `${name}@${version} was published anew during its removal`);
      }
      next = next && withoutVersion(next, version);
    }
    return next;
  });
  await completeRemoval(stores, removal);
}

/** Reports whether any removal may be deleting now. */
export async function isRemovalInProgress(stores: RemovalStores): Promise<boolean> {
  const { state, wallClock } = stores;
  for (const key of await state.list(removalPrefix)) {
    const entry = await state.get(key);
    if (entry === undefined) continue;
    if (decodeStored(journalSchema, entry.value, key).leaseEndsAt > wallClock()) return true;
  }
  return false;
}

/** Returns every manifest and signature that an index names, and every blob that the manifests refer to. */
async function collectNeededDigests({ state, blobs }: RemovalStores): Promise<ReadonlySet<Digest>> {
  const needed = new Set<Digest>();
  for (const key of await state.list(indexPrefix)) {
    const name = nameOfIndexKey(key);
    const index = name === undefined ? undefined : await readIndex(state, name);
    for (const { manifestDigest, signature } of index?.versions ?? []) {
      const references = await readReferences(blobs, manifestDigest);
      if (references === undefined) {
        // The manifest's blobs are unknown, so no blob may be deleted.
        throw new EdgewiseError(
          'internal',
          `manifest ${manifestDigest} of ${name} is in an index but not stored`,
        );
      }
      needed.add(manifestDigest);
      if (signature !== undefined) needed.add(signature);
      for (const { digest } of references) needed.add(digest);
    }
  }
  return needed;
}
