/**
 * Manifests and indexes as they are stored. A manifest is a blob: canonical JSON (RFC 8785), named by the SHA-256 of its
 * bytes, which the index holds. So nothing but the index decides which manifest a version has, and a manifest is read
 * through the fast tiers, checked like any other blob.
 */
import canonicalize from 'canonicalize';
import { z } from 'zod';
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
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly digest: Digest;
}

/** One text for one value: keys sorted, no white space. What could not be read again is not written. */
function encode(schema: z.ZodType, value: unknown, what: string): string {
  const checked = checkDocument(schema, value, { whole: 'it' });
  if (!checked.success)
    throw new EdgewiseError('invalid_request', `${what} is not usable: ${checked.complaint}`);
  const text = canonicalize(value);
  if (text === undefined) throw new EdgewiseError('internal', `${what} has no JSON form`);
  return text;
}

/**
 * The bytes under which `manifest` is stored, and their digest: the one of the `Edgewise-Model` header.
 *
 * @throws EdgewiseError `invalid_request` when it is no manifest.
 */
export async function encodeManifest(manifest: Manifest): Promise<EncodedManifest> {
  const text = encode(manifestSchema, manifest, `manifest of ${manifest.name}@${manifest.version}`);
  const bytes = new Uint8Array(new TextEncoder().encode(text));
  return { bytes, digest: await digestOf(bytes) };
}

/** @throws EdgewiseError `invalid_request` when it is no index. */
export function encodeIndex(index: ModelIndex): string {
  return encode(modelIndexSchema, index, `index of ${index.name}`);
}

/** @throws EdgewiseError `internal` when `text` is not what `schema` wants. */
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
 * The manifest with this digest, or undefined where none is stored.
 *
 * @throws EdgewiseError `digest_mismatch` when only wrong bytes are stored; `internal` when they are no manifest;
 * `policy_refused` for one from before manifests had terms.
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
      `manifest ${digest} is of a model without terms, and none is served without: publish it as a new version with \`terms\` in its config.json`,
    );
  }
  const manifest = decodeStored(manifestSchema, text, `manifest ${digest}`);
  return { manifest, byteLength: bytes.byteLength };
}

export interface BlobReference {
  readonly digest: Digest;
  readonly byteLength: number;
}

/** The blobs that the graph consists of, in their order. */
export function graphBlobs({
  chunks,
  ...whole
}: { readonly chunks?: readonly BlobReference[] | undefined } & BlobReference): readonly BlobReference[] {
  return chunks ?? [whole];
}

const referenceSchema = z.object({ digest: digestSchema, byteLength: z.int() });

/** What of a manifest names blobs: also of one from before manifests had terms, so that it can be removed. */
const namingSchema = z.object({
  graph: referenceSchema.extend({ chunks: z.array(referenceSchema).optional() }),
  weights: z.object({ chunks: z.array(referenceSchema) }).optional(),
  terms: z.object({ licence: z.object({ text: digestSchema, byteLength: z.int() }) }).optional(),
});

/** The blobs that the manifest with this digest refers to, whether or not it can be served; undefined where none is stored. */
export async function readReferences(
  blobs: VerifiedBlobStore,
  digest: Digest,
): Promise<readonly BlobReference[] | undefined> {
  const bytes = await blobs.get(digest);
  if (bytes === undefined) return undefined;
  return referencedBlobs(decodeStored(namingSchema, new TextDecoder().decode(bytes), `manifest ${digest}`));
}

/** The blobs that a manifest refers to, each once. */
export function referencedBlobs({
  graph,
  weights,
  terms,
}: z.output<typeof namingSchema>): readonly BlobReference[] {
  const references: readonly BlobReference[] = [
    ...graphBlobs(graph),
    ...(weights?.chunks ?? []),
    ...(terms === undefined ? [] : [{ digest: terms.licence.text, byteLength: terms.licence.byteLength }]),
  ];
  return [...new Map(references.map((reference) => [reference.digest, reference])).values()];
}

/** The first blob of `manifest` that is not stored, or stored with another length where the store can tell. */
export async function missingBlob(blobs: BlobStore, manifest: Manifest): Promise<BlobReference | undefined> {
  const references = referencedBlobs(manifest);
  const there = await Promise.all(
    references.map(async ({ digest, byteLength }) =>
      blobs.byteLength === undefined
        ? await blobs.has(digest)
        : (await blobs.byteLength(digest)) === byteLength,
    ),
  );
  return references.find((_, index) => !there[index]);
}
