/**
 * The files of a version as their publisher signed them, for those whose terms let the weights leave: what a browser runs,
 * and what the reference tool of OpenSSF Model Signing verifies. Each file passes the gate, and leaves a receipt.
 */

import { Hono } from 'hono';
import type { Bytes } from '../../bytes.ts';
import type { WeightSource } from '../../engine/types.ts';
import { EdgewiseError } from '../../errors.ts';
import { encodeManifest } from '../../repository/documents.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import type { Manifest } from '../../repository/schema.ts';
import { fileNames } from '../../repository/signing/model-signature.ts';
import { openModelSource } from '../../repository/weights.ts';
import type { Digest, VerifiedBlobStore } from '../../storage/types.ts';
import { requireUse } from '../caller/access.ts';
import { identifyCaller } from '../caller/identify.ts';
import { residencyOf } from '../caller/residency.ts';
import type { AppContext, AppEnv } from '../context.ts';
import { admit } from '../infer/admit.ts';
import { modelHeader } from '../infer/finish-answer.ts';
import { record } from '../infer/record.ts';
import type { Services } from '../services.ts';

/** Mounted under `/v1/models`. */
export function modelFileRoutes(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get('/:name/versions/:version/files/:file', (c) => sendFile(c, services));
  return app;
}

async function sendFile(c: AppContext, services: Services): Promise<Response> {
  const { name = '', version = '', file = '' } = c.req.param();
  const { placement, repository, settings, tier } = services;
  const caller = await identifyCaller(c, services);
  requireUse(caller, name, settings);
  const jurisdiction = residencyOf(caller, c.req.header('edgewise-jurisdiction'), placement.jurisdiction);
  const model = await repository.resolvePublished(name, version);
  const use = await admit({ c, services, caller, model, action: 'download' });
  const found = await fileOf(model, file, services);
  if (use === undefined || found === undefined) {
    throw new EdgewiseError(
      'not_found',
      `${name}@${version} has no file of this name, its signature names those it has`,
    );
  }
  const recordHeaders = await record(use, {
    tier,
    reason: 'download',
    units: 0,
    jurisdiction,
    runtime: undefined,
    inputs: undefined,
    outputs: undefined,
  });
  return c.body(found.body, 200, {
    'Content-Type': found.type,
    ETag: `"${found.digest}"`,
    // Whose answer it is stands on it.
    'Cache-Control': 'private, no-transform',
    'Edgewise-Model': modelHeader(model),
    ...recordHeaders,
  });
}

interface ModelFile {
  readonly body: Bytes | ReadableStream<Uint8Array>;
  readonly digest: Digest;
  readonly type: string;
}

const binary = 'application/octet-stream';

async function fileOf(
  { manifest, signed }: ResolvedModel,
  file: string,
  { blobs }: Services,
): Promise<ModelFile | undefined> {
  const stored = async (digest: Digest, type: string): Promise<ModelFile> => {
    const body = await blobs.get(digest);
    if (body === undefined) {
      throw new EdgewiseError('model_not_ready', `${manifest.name}@${manifest.version} is not stored whole`);
    }
    return { body, digest, type };
  };
  switch (file) {
    case fileNames.manifest: {
      const { bytes, digest } = await encodeManifest(manifest);
      return { body: bytes, digest, type: 'application/json' };
    }
    case fileNames.graph: {
      if (manifest.graph.chunks === undefined) return stored(manifest.graph.digest, binary);
      const { graph } = await openModelSource(manifest, blobs);
      return { body: new Uint8Array(graph), digest: manifest.graph.digest, type: binary };
    }
    case fileNames.licence:
      return stored(manifest.terms.licence.text, 'text/plain; charset=utf-8');
    case fileNames.signature:
      return stored(signed.bundle, 'application/json');
    default:
      return weightsFile(manifest, file, blobs);
  }
}

async function weightsFile(
  manifest: Manifest,
  file: string,
  blobs: VerifiedBlobStore,
): Promise<ModelFile | undefined> {
  if (manifest.weights === undefined || manifest.weights.path !== file) return undefined;
  const { weights } = await openModelSource(manifest, blobs);
  return weights && { body: streamed(weights), digest: manifest.weights.digest, type: binary };
}

/** Piece by piece, as fast as they are taken: the weights never stand in memory as a whole. */
function streamed(weights: WeightSource): ReadableStream<Uint8Array> {
  const pieces = weights.read(0, weights.byteLength)[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const next = await pieces.next();
      // The reader of a piece copies it before it asks for another, and here nobody knows when that is.
      if (next.done === true) controller.close();
      else controller.enqueue(next.value.slice());
    },
    async cancel() {
      await pieces.return?.();
    },
  });
}
