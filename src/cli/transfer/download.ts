/** Downloads a published version, and checks every byte. */

import { createHash } from 'node:crypto';
import type { Bytes } from '../../bytes.ts';
import type { AdminClient } from '../../client/admin-client.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import { encodeManifest, graphBlobs } from '../../repository/documents.ts';
import { parseExternalRef } from '../../repository/onnx/external.ts';
import { inspectModel } from '../../repository/onnx/inspect.ts';
import { decodeModel } from '../../repository/onnx/proto.ts';
import { isExternal } from '../../repository/onnx/tensor-data.ts';
import type { Manifest } from '../../repository/schema.ts';
import { verifySignature } from '../../repository/signed-version.ts';
import type { Publishers, Signer } from '../../repository/signing/publishers.ts';
import { digestOf } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';

export interface Download {
  readonly manifest: Manifest;
  readonly manifestDigest: Digest;
  readonly graph: Bytes;
  readonly licenceText: Bytes;
  /** The bytes of `model.sig`, not verified yet; undefined for an unsigned version. */
  readonly signature: Bytes | undefined;
  /** Yields the chunks of the weights, each checked; the end checks them as one file. Can be read once. */
  chunks(): AsyncGenerator<Bytes>;
}

/**
 * Downloads manifest, graph and licence text of a version; checks their digests, and that the graph refers to the weights
 * of the manifest.
 *
 * @throws EdgewiseError `digest_mismatch` naming the part that differs; otherwise the server's code.
 */
export async function openVersion(client: AdminClient, name: string, version: string): Promise<Download> {
  const { manifest, digest, signature } = await client.version(name, version);
  const label = `${manifest.name}@${manifest.version}`;
  const encoded = await encodeManifest(manifest);
  if (encoded.digest !== digest) {
    throw mismatch(`the manifest of ${label} has the digest ${encoded.digest}, the server says ${digest}`);
  }
  if (manifest.name !== name) {
    throw mismatch(`the manifest of ${name} is that of ${label}`);
  }
  const graph = await checkedGraph(client, manifest, `the graph of ${label}`);
  checkGraph(manifest, graph, label);
  const { text, byteLength } = manifest.terms.licence;
  return {
    manifest,
    manifestDigest: digest,
    graph,
    licenceText: await checkedBlob(client, { digest: text, byteLength }, `the licence text of ${label}`),
    signature: signature && (await signatureBlob(client, signature, label)),
    async *chunks() {
      const { weights } = manifest;
      if (weights === undefined) return;
      const whole = createHash('sha256');
      for (const [index, chunk] of weights.chunks.entries()) {
        const bytes = await checkedBlob(client, chunk, `chunk ${index} of the weights of ${label}`);
        whole.update(bytes);
        yield bytes;
      }
      const found = `sha256:${whole.digest('hex')}`;
      if (found !== weights.digest) {
        throw mismatch(
          `the weights of ${label} have the digest ${found} as one file, signed is ${weights.digest}`,
        );
      }
    },
  };
}

/**
 * Verifies the signature of a download, without a server.
 *
 * @throws EdgewiseError `signature_invalid`
 */
export async function checkSigned(
  { manifest, manifestDigest, signature }: Download,
  publishers: Publishers,
): Promise<{ readonly root: Digest; readonly signer: Signer }> {
  if (signature === undefined) {
    throw new EdgewiseError('signature_invalid', `${manifest.name}@${manifest.version} is not signed`);
  }
  return verifySignature(signature, publishers, { manifest, manifestDigest });
}

async function signatureBlob(client: AdminClient, digest: Digest, label: string): Promise<Bytes> {
  const bytes = await client.getBlob(digest);
  if ((await digestOf(bytes)) !== digest)
    throw mismatch(`the signature of ${label} does not have its digest ${digest}`);
  return bytes;
}

async function checkedGraph(client: AdminClient, { graph }: Manifest, what: string): Promise<Bytes> {
  const parts: Bytes[] = [];
  for (const part of graphBlobs(graph)) parts.push(await checkedBlob(client, part, what));
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const whole = new Uint8Array(Buffer.concat(parts));
  const digest = await digestOf(whole);
  if (digest !== graph.digest) {
    throw mismatch(`${what} has the digest ${digest} as one file, signed is ${graph.digest}`);
  }
  return whole;
}

interface ExpectedBlob {
  readonly digest: Digest;
  readonly byteLength: number;
}

async function checkedBlob(
  client: AdminClient,
  { digest, byteLength }: ExpectedBlob,
  what: string,
): Promise<Bytes> {
  const bytes = await client.getBlob(digest).catch((error: unknown) => {
    if (isEdgewiseError(error) && (error.code === 'not_found' || error.code === 'digest_mismatch')) {
      const state = error.code === 'not_found' ? 'is not stored' : 'is stored with other bytes';
      throw mismatch(`${what}, ${digest} of ${byteLength} bytes, ${state}`);
    }
    throw error;
  });
  const actual = await digestOf(bytes);
  if (actual !== digest || bytes.byteLength !== byteLength) {
    throw mismatch(
      `${what} should be ${digest} of ${byteLength} bytes, stored is ${actual} of ${bytes.byteLength}`,
    );
  }
  return bytes;
}

/** Checks the graph against the manifest: weights without gaps, every reference inside them, the same inputs and outputs. */
function checkGraph(manifest: Manifest, graph: Uint8Array, label: string): void {
  const { weights } = manifest;
  let end = 0;
  for (const { offset, byteLength } of weights?.chunks ?? []) {
    if (offset !== end) {
      throw mismatch(`the chunks of ${label} have a gap at byte ${end}`);
    }
    end += byteLength;
  }
  if (end !== (weights?.byteLength ?? 0)) {
    throw mismatch(
      `the chunks of ${label} are ${end} bytes together, the manifest says ${weights?.byteLength}`,
    );
  }
  const model = decodeModel(graph);
  for (const tensor of model.graph?.initializer ?? []) {
    if (isExternal(tensor)) {
      const { location, offset, length = 0 } = parseExternalRef(tensor);
      if (location !== weights?.path || offset + length > end) {
        throw mismatch(
          `the graph of ${label} refers to bytes ${offset} to ${offset + length} of ${location}, which are not in the manifest`,
        );
      }
    }
  }
  const ranks = new Map(
    [...manifest.inputs, ...manifest.outputs].map(({ name, shape }) => [name, shape.length]),
  );
  const { inputs, outputs } = inspectModel(model, ranks);
  for (const [declared, found, what] of [
    [manifest.inputs, inputs, 'inputs'],
    [manifest.outputs, outputs, 'outputs'],
  ] as const) {
    const same = (a: readonly { name: string; datatype: string }[]) =>
      a.map(({ name, datatype }) => `${name}: ${datatype}`).join(', ');
    if (same(declared) !== same(found)) {
      throw mismatch(
        `the ${what} of ${label} are ${same(found)} in the graph and ${same(declared)} in the manifest`,
      );
    }
  }
}

function mismatch(message: string): EdgewiseError {
  return new EdgewiseError('digest_mismatch', message);
}
