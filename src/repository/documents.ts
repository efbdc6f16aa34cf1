/**
 * Reads and writes manifests and indexes in their stored form. A manifest is a blob: canonical JSON (RFC 8785), named by
 * the SHA-256 of its bytes, which the index holds. So the index alone decides which manifest a version has, and a manifest
 * is read through the fast tiers and checked like any other blob.
 */

import canonicalize from 'canonicalize';
import { z } from 'zod';
import type { Bytes } from '../bytes.ts';
import { checkDocument } from '../check-document.ts';
import { EdgewiseError } from '../errors.ts';
import { digestOf } from '../storage/digest.ts';
import type { BlobStore, Digest, VerifiedBlobStore } from '../storage/types.ts';
import { digestSchema } from './common-schema.ts';
import { type Manifest, type ModelIndex, manifestSchema, modelIndexSchema } from './schema.ts';

export interface StoredManifest {
  readonly manifest: Manifest;
  readonly manifestDigest: Digest;
}

export interface EncodedManifest {
  readonly bytes: Bytes;
  readonly digest: Digest;
}

/** Returns canonical JSON. A value that could not be read again is refused. */
function encode(schema: z.ZodType, value: unknown, what: string): string {
  const checked = checkDocument(schema, value, { whole: 'it' });
  if (!checked.success)
    throw new EdgewiseError('invalid_request', `${what} is not usable: ${checked.complaint}`);
  const text = canonicalize(value);
  if (text === undefined) throw new EdgewiseError('internal', `${what} has no JSON form`);
  return text;
}

/**
 * Returns the bytes that are stored for `manifest`, and their digest, which the `Edgewise-Model` header shows.
 *
 * @throws EdgewiseError `invalid_request` if it breaks the manifest's schema.
 */
export async function encodeManifest(manifest: Manifest): Promise<EncodedManifest> {
  const text = encode(manifestSchema, manifest, `manifest of ${manifest.name}@${manifest.version}`);
  const bytes = new Uint8Array(new TextEncoder().encode(text));
  return { bytes, digest: await digestOf(bytes) };
}

/** @throws EdgewiseError `invalid_request` if it breaks the index's schema. */
export function encodeIndex(index: ModelIndex): string {
  return encode(modelIndexSchema, index, `index of ${index.name}`);
}

/** @throws EdgewiseError `internal` if `text` does not fit `schema`. */
export function decodeStored<S extends z.ZodType>(schema: S, text: string, what: string): z.output<S> {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new EdgewiseError('internal', `${what} is stored in a form that this version cannot read`, {
      cause: error,
    });
  }
}

/** @throws EdgewiseError `internal` */
export function decodeIndex(name: string, text: string): ModelIndex {
  return decodeStored(modelIndexSchema, text, `the index of ${name}`);
}

/**
 * Returns the manifest with this digest, or undefined if none is stored.
 *
 * @throws EdgewiseError `digest_mismatch` if only wrong bytes are stored; `internal` if they are not a manifest;
 * `policy_refused` for a manifest from before manifests had terms.
 */
export async function readManifest(
  blobs: VerifiedBlobStore,
  digest: Digest,
): Promise<{ readonly manifest: Manifest; readonly byteLength: number } | undefined> {
  const bytes = await blobs.get(digest);
  if (bytes === undefined) return undefined;
  const text = new TextDecoder().decode(bytes);
  const { terms } = decodeStored(
    z.looseObject({ terms: z.unknown().optional() }),
    text,
    `manifest ${digest}`,
  );
  if (terms === undefined) {
    throw new EdgewiseError(
      'policy_refused',
      `manifest ${digest} belongs to a model without terms, and no model is served without terms: publish it as a new version with \`terms\` in its config.json`,
    );
  }
  const manifest = decodeStored(manifestSchema, text, `manifest ${digest}`);
  return { manifest, byteLength: bytes.byteLength };
}

export interface BlobReference {
  readonly digest: Digest;
  readonly byteLength: number;
}

/** Returns the blobs that make up the graph, in order. */
export function graphBlobs({
  chunks,
  ...whole
}: { readonly chunks?: readonly BlobReference[] | undefined } & BlobReference): readonly BlobReference[] {
  return chunks ?? [whole];
}

const referenceSchema = z.object({ digest: digestSchema, byteLength: z.int() });

/** The parts of a manifest that name blobs. Terms are optional, so that a manifest from before terms can be removed. */
const referencesSchema = z.object({
  graph: referenceSchema.extend({ chunks: z.array(referenceSchema).optional() }),
  weights: z.object({ chunks: z.array(referenceSchema) }).optional(),
  terms: z.object({ licence: z.object({ text: digestSchema, byteLength: z.int() }) }).optional(),
});

/**
 * Returns the blobs that the manifest with this digest refers to, whether or not it can be served; undefined if the
 * manifest is not stored.
 *
 * @throws EdgewiseError `digest_mismatch` if only wrong bytes are stored; `internal` if they are not a manifest.
 */
export async function readReferences(
  blobs: VerifiedBlobStore,
  digest: Digest,
): Promise<readonly BlobReference[] | undefined> {
  const bytes = await blobs.get(digest);
  if (bytes === undefined) return undefined;
  return referencedBlobs(
    decodeStored(referencesSchema, new TextDecoder().decode(bytes), `manifest ${digest}`),
  );
}

/** Returns the blobs that a manifest refers to, each once. */
export function referencedBlobs({
  graph,
  weights,
  terms,
}: z.output<typeof referencesSchema>): readonly BlobReference[] {
  const references: readonly BlobReference[] = [
    ...graphBlobs(graph),
    ...(weights?.chunks ?? []),
    ...(terms === undefined ? [] : [{ digest: terms.licence.text, byteLength: terms.licence.byteLength }]),
  ];
  return [...new Map(references.map((reference) => [reference.digest, reference])).values()];
}

/** Returns the first blob of `manifest` that is not stored, or that the store reports with another length. */
export async function missingBlob(blobs: BlobStore, manifest: Manifest): Promise<BlobReference | undefined> {
  const references = referencedBlobs(manifest);
  const isStored = await Promise.all(
    references.map(async ({ digest, byteLength }) =>
      blobs.byteLength === undefined
        ? await blobs.has(digest)
        : (await blobs.byteLength(digest)) === byteLength,
    ),
  );
  return references.find((_, index) => !isStored[index]);
}
