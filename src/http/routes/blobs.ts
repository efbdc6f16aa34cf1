/** The blobs of the model repository, by their digests. */
import { createRoute, z } from '@hono/zod-openapi';
import { EdgewiseError } from '../../errors.ts';
import { readBody } from '../body/request-body.ts';
import { binaryBody, emptyResponse, fileResponse, jsonResponse, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { digest } from './parameters.ts';

const maxBlobBytes = 16 * 1024 * 1024;

const blobParams = z.object({ digest });

const getBlob = createRoute({
  method: 'get',
  path: '/admin/blobs/{digest}',
  operationId: 'getBlob',
  tags: ['Admin'],
  summary: 'A blob',
  request: { params: blobParams },
  responses: { 200: fileResponse('application/octet-stream', 'The blob'), ...refusals(404) },
});

const hasBlob = createRoute({
  ...getBlob,
  method: 'head',
  operationId: 'hasBlob',
  summary: 'Whether a blob is stored',
  responses: { 200: emptyResponse('The blob is stored'), ...refusals(404) },
});

const putBlob = createRoute({
  method: 'put',
  path: '/admin/blobs/{digest}',
  operationId: 'putBlob',
  tags: ['Admin'],
  summary: 'Store a blob',
  description: 'At most 16 MiB. The bytes must have the digest. Storing a blob again is harmless.',
  request: { params: blobParams, body: binaryBody('application/octet-stream') },
  responses: {
    200: jsonResponse(z.object({ digest, status: z.literal('unchanged') }), 'The blob was stored before'),
    201: jsonResponse(z.object({ digest, status: z.literal('created') }), 'The blob is stored'),
    ...refusals(507),
  },
});

export function blobRoutes(services: Services) {
  const { blobs, publisher } = services;
  const routes = new ApiRoutes(services);
  routes.describeHead(hasBlob);

  routes.forRepositoryReader(getBlob, async (c) => {
    const requested = c.req.valid('param').digest;
    // The blob itself is not read for HEAD.
    if (c.req.method === 'HEAD' && (await publisher.hasBlob(requested))) return c.body(null);
    const bytes = c.req.method === 'HEAD' ? undefined : await blobs.get(requested);
    if (bytes === undefined) throw new EdgewiseError('not_found', `blob ${requested} is not stored here`);
    return c.body(bytes, 200, { 'Content-Type': 'application/octet-stream' });
  });

  routes.forAdmin(putBlob, async (c) => {
    const expected = c.req.valid('param').digest;
    const isStored = await publisher.hasBlob(expected);
    const body = await readBody(c, { maxBytes: maxBlobBytes, maxDecompressedBytes: maxBlobBytes });
    await publisher.putBlob(expected, body);
    return isStored
      ? c.json({ digest: expected, status: 'unchanged' as const }, 200)
      : c.json({ digest: expected, status: 'created' as const }, 201);
  });
  return routes.app;
}
