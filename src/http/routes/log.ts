/**
 * The transparency log, open to everyone: its files as C2SP tlog-tiles lays them out under one prefix, proofs for single
 * receipts, and the endpoint where witnesses leave their signatures.
 */

import { createRoute, z } from '@hono/zod-openapi';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { encodeProof } from '../../governance/log/proof.ts';
import { checkpointPath, parseTilePath } from '../../governance/log/tiles.ts';
import type { ReceiptLog } from '../../governance/log/types.ts';
import type { BodyLimits } from '../body/read.ts';
import { readBody } from '../body/request-body.ts';
import { binaryBody, emptyResponse, fileResponse, refusals } from '../openapi/responses.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { wholeNumber } from './parameters.ts';

const cosignatureLimits: BodyLimits = { maxBytes: 32 * 1024, maxDecompressedBytes: 32 * 1024 };

/** A log file that changes with every round. */
const fresh = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-cache' };
/** A tile never changes once it is written. */
const immutable = {
  'Content-Type': 'application/octet-stream',
  'Cache-Control': 'public, max-age=31536000, immutable',
};

/** A round takes about a second. */
const maxWaitMs = 10_000;

const getLogKey = createRoute({
  method: 'get',
  path: '/log/key',
  operationId: 'getLogKey',
  tags: ['Receipts'],
  summary: "The log's public key",
  description:
    'C2SP signed-note. The key never changes, so a client that does not trust this server compares it with the key that it saw first or has from another source.',
  responses: { 200: fileResponse('text/plain', 'The key', 'Cache-Control') },
});

const getCheckpoint = createRoute({
  method: 'get',
  path: '/log/checkpoint',
  operationId: 'getCheckpoint',
  tags: ['Receipts'],
  summary: "The log's latest checkpoint",
  description: 'C2SP tlog-checkpoint: a signed note, with the signatures of witnesses.',
  responses: {
    200: fileResponse('text/plain', 'The checkpoint', 'Cache-Control'),
    ...refusals(404, 429, 503),
  },
});

const getTile = createRoute({
  method: 'get',
  path: '/log/tile/{path}',
  operationId: 'getTile',
  tags: ['Receipts'],
  summary: 'Tiles of hashes, and bundles of entries',
  description: 'C2SP tlog-tiles: 0/000, 0/000.p/5, entries/x001/234. They never change.',
  request: { params: z.object({ path: z.string().min(1) }) },
  responses: {
    200: fileResponse('application/octet-stream', 'The file', 'Cache-Control'),
    ...refusals(404, 429, 503),
  },
});

const getProof = createRoute({
  method: 'get',
  path: '/log/proofs/{receiptHash}',
  operationId: 'getProof',
  tags: ['Receipts'],
  summary: 'The proof that a receipt is in the log',
  description: 'By the SHA-256 of the compact receipt. C2SP tlog-proof.',
  request: {
    params: z.object({
      receiptHash: z
        .string()
        .regex(/^[0-9a-f]{64}$/, 'expected the SHA-256 of a receipt as 64 lower-case hexadecimal digits'),
    }),
    query: z.object({
      wait_ms: wholeNumber(0, maxWaitMs, 'Milliseconds to wait for the proof.').default(0),
    }),
  },
  responses: { 200: fileResponse('text/plain', 'The proof', 'Cache-Control'), ...refusals(404, 429, 503) },
});

const addCosignature = createRoute({
  method: 'post',
  path: '/log/cosignatures',
  operationId: 'addCosignature',
  tags: ['Receipts'],
  summary: "Leave a witness's signature under the latest checkpoint",
  request: { body: binaryBody('text/plain') },
  responses: { 204: emptyResponse('The signature is under the checkpoint'), ...refusals(403, 404, 409, 503) },
});

/** @param verifierKey The public key of the log (C2SP signed-note). */
export function logRoutes(services: Services, log: ReceiptLog, verifierKey: string) {
  const routes = new ApiRoutes(services);

  routes.open(getLogKey, (c) => c.body(`${verifierKey}\n`, 200, fresh));

  routes.open(getCheckpoint, async (c) => {
    const checkpoint = await log.readFile(checkpointPath);
    if (checkpoint === undefined) {
      throw new EdgewiseError('not_found', 'the log has no checkpoint: it is empty');
    }
    return c.body(checkpoint, 200, fresh);
  });

  routes.open(getTile, async (c) => {
    const path = `tile/${c.req.valid('param').path}`;
    const tile = parseTilePath(path) === undefined ? undefined : await log.readFile(path);
    if (tile === undefined) {
      throw new EdgewiseError('not_found', `the log has no file ${JSON.stringify(path.slice(0, 100))}`);
    }
    return c.body(tile, 200, immutable);
  });

  routes.open(getProof, async (c) => {
    const proof = await log.prove(parseHex(c.req.valid('param').receiptHash), c.req.valid('query').wait_ms);
    if (proof === undefined) {
      throw new EdgewiseError(
        'not_found',
        'no receipt with this hash is in the log; hand the receipt in with POST /v1/receipts',
      );
    }
    return c.body(encodeProof(proof), 200, fresh);
  });

  routes.open(addCosignature, async (c) => {
    await log.cosign(decodeText(await readBody(c, cosignatureLimits)));
    return c.body(null, 204);
  });

  return routes.app;
}

function parseHex(hex: string): Bytes {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function decodeText(body: Bytes): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    throw new EdgewiseError('invalid_request', 'the cosignature is not UTF-8; expected a signed note');
  }
}
