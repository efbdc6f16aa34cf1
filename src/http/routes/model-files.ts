/**
 * The files of a version as their publisher signed them, for models whose terms let the weights leave. A browser runs them,
 * and the reference tool of OpenSSF Model Signing verifies them. Each file passes the gate and is given with a receipt.
 */
import { createRoute, z } from '@hono/zod-openapi';
import type { Bytes } from '../../bytes.ts';
import type { WeightSource } from '../../engine/types.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Caller } from '../../governance/accounts/caller.ts';
import { encodeManifest } from '../../repository/documents.ts';
import type { ResolvedModel } from '../../repository/model-repository.ts';
import type { Manifest } from '../../repository/schema.ts';
import { fileNames } from '../../repository/signing/model-signature.ts';
import { openModelSource } from '../../repository/weights.ts';
import type { Digest, VerifiedBlobStore } from '../../storage/types.ts';
import { requireUse } from '../caller/access.ts';
import { residencyOf } from '../caller/residency.ts';
import type { AppContext } from '../context.ts';
import { admit } from '../infer/admit.ts';
import { modelHeader } from '../infer/finish-answer.ts';
import { record } from '../infer/record.ts';
import { requestHeaders } from '../openapi/headers.ts';
import { fileResponse, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { versionParams } from './parameters.ts';

const binary = 'application/octet-stream';
const text = 'text/plain; charset=utf-8';

const getModelFile = createRoute({
  method: 'get',
  path: '/v1/models/{name}/versions/{version}/files/{file}',
  operationId: 'getModelFile',
  tags: ['Licences'],
  summary: 'A file of a version, as its publisher signed it',
  description:
    'manifest.json, model.onnx, its weights, LICENSE, and the signature over them, model.sig. For models whose terms let the weights leave.',
  request: {
    params: versionParams.extend({ file: z.string().min(1) }),
    headers: [requestHeaders.jurisdiction, requestHeaders.purpose, requestHeaders.prefer],
  },
  responses: {
    200: fileResponse(
      [binary, 'text/plain', 'application/json'],
      'The file',
      'Cache-Control',
      'ETag',
      'Edgewise-Model',
      'Edgewise-Receipt',
      'Edgewise-Receipt-Id',
      'Edgewise-Receipt-Proof',
      'Edgewise-Receipt-Salt',
      'Edgewise-AI-Generated',
      'Edgewise-Attribution',
      'Preference-Applied',
    ),
    ...refusals(404, 413),
  },
});

export function modelFileRoutes(services: Services) {
  const routes = new ApiRoutes(services);
  routes.forCaller(getModelFile, (c, caller) => sendFile(c, services, caller, c.req.valid('param')));
  return routes.app;
}

interface FileAddress {
  readonly name: string;
  readonly version: string;
  readonly file: string;
}

async function sendFile(
  c: AppContext,
  services: Services,
  caller: Caller,
  { name, version, file: fileName }: FileAddress,
): Promise<Response> {
  const { placement, repository, settings, tier } = services;
  requireUse(caller, name, settings);
  const jurisdiction = residencyOf(caller, c.req.header('edgewise-jurisdiction'), placement.jurisdiction);
  const model = await repository.resolvePublished(name, version);
  const use = await admit({ c, services, caller, model, action: 'download' });
  const found = await findFile(model, fileName, services);
  if (use === undefined || found === undefined) {
    throw new EdgewiseError(
      'not_found',
      `${name}@${version} has no file of this name; its signature lists the names`,
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
    // The receipt in the headers names the caller.
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

/**
 * Returns undefined if the version has no file of this name.
 *
 * @throws EdgewiseError `model_not_ready` if the file is not stored.
 */
async function findFile(
  { manifest, signed }: ResolvedModel,
  fileName: string,
  { blobs }: Services,
): Promise<ModelFile | undefined> {
  const stored = async (digest: Digest, type: string): Promise<ModelFile> => {
    const body = await blobs.get(digest);
    if (body === undefined) {
      throw new EdgewiseError(
        'model_not_ready',
        `${manifest.name}@${manifest.version} is not stored completely`,
      );
    }
    return { body, digest, type };
  };
  switch (fileName) {
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
      return stored(manifest.terms.licence.text, text);
    case fileNames.signature:
      return stored(signed.bundle, 'application/json');
    default:
      return findWeights(manifest, fileName, blobs);
  }
}

async function findWeights(
  manifest: Manifest,
  fileName: string,
  blobs: VerifiedBlobStore,
): Promise<ModelFile | undefined> {
  if (manifest.weights === undefined || manifest.weights.path !== fileName) return undefined;
  const { weights } = await openModelSource(manifest, blobs);
  return weights && { body: streamWeights(weights), digest: manifest.weights.digest, type: binary };
}

/** Streams the weights as fast as they are read, so that they are never in memory as a whole. */
function streamWeights(weights: WeightSource): ReadableStream<Uint8Array> {
  const pieces = weights.read(0, weights.byteLength)[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const next = await pieces.next();
      // The source may reuse the memory of a piece once the next is asked for, and the stream holds pieces for longer.
      if (next.done === true) controller.close();
      else controller.enqueue(next.value.slice());
    },
    async cancel() {
      await pieces.return?.();
    },
  });
}
