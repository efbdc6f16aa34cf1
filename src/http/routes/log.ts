/**
 * The transparency log for everybody: its files as C2SP tlog-tiles lays them out, under one prefix; proofs of single
 * receipts for who would not compute them; and where witnesses leave their signatures.
 */
import { Hono } from 'hono';
import { EdgewiseError } from '../../errors.ts';
import { encodeProof } from '../../governance/log/proof.ts';
import { checkpointPath, parseTilePath } from '../../governance/log/tiles.ts';
import type { ReceiptLog } from '../../governance/log/types.ts';
import type { BodyLimits } from '../body/read.ts';
import { readBody } from '../body/request-body.ts';
import type { AppEnv } from '../context.ts';

const cosignature: BodyLimits = { maxBytes: 32 * 1024, maxDecompressedBytes: 32 * 1024 };

const text = { 'Content-Type': 'text/plain; charset=utf-8' };
/** It changes with every round. */
const fresh = { 'Cache-Control': 'no-cache' };
/** What once stood at a tile's path stands there for good. */
const forGood = { 'Cache-Control': 'public, max-age=31536000, immutable' };

/** A round takes about a second. */
const maxWaitMs = 10_000;

/**
 * To be mounted under the log's prefix.
 *
 * @param verifierKey The log's public key (C2SP signed-note).
 */
export function logRoutes(log: ReceiptLog, verifierKey: string): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  app.get('/key', (c) => c.body(`${verifierKey}\n`, 200, { ...text, ...fresh }));

  app.get('/checkpoint', async (c) => {
    const checkpoint = await log.file(checkpointPath);
    if (checkpoint === undefined)
      throw new EdgewiseError('not_found', 'the log has no checkpoint: it is empty');
    return c.body(checkpoint, 200, { ...text, ...fresh });
  });

  app.get('/tile/:path{.+}', async (c) => {
    const path = `tile/${c.req.param('path')}`;
    const file = parseTilePath(path) === undefined ? undefined : await log.file(path);
    if (file === undefined)
      throw new EdgewiseError('not_found', `the log has no file ${JSON.stringify(path.slice(0, 100))}`);
    return c.body(file, 200, { 'Content-Type': 'application/octet-stream', ...forGood });
  });

  app.get('/proofs/:receiptHash', async (c) => {
    const hash = readHash(c.req.param('receiptHash'));
    const proof = await log.prove(hash, readWait(c.req.query('wait_ms')));
    if (proof === undefined) {
      throw new EdgewiseError(
        'not_found',
        'no receipt with this hash is in the log: whoever holds it can hand it in',
      );
    }
    return c.body(encodeProof(proof), 200, { ...text, ...fresh });
  });

  app.post('/cosignatures', async (c) => {
    await log.cosign(readText(await readBody(c, cosignature)));
    return c.body(null, 204);
  });

  return app;
}

/** @throws EdgewiseError `invalid_request` */
function readHash(hex: string): Uint8Array<ArrayBuffer> {
  if (!/^[0-9a-f]{64}$/.test(hex)) {
    throw new EdgewiseError(
      'invalid_request',
      `receipt hash ${JSON.stringify(hex.slice(0, 80))} is not usable, wanted the SHA-256 of a receipt as 64 lower-case hex digits`,
    );
  }
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** @throws EdgewiseError `invalid_request` */
function readWait(text = '0'): number {
  const ms = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(ms <= maxWaitMs)) {
    throw new EdgewiseError(
      'invalid_request',
      `wait_ms ${JSON.stringify(text.slice(0, 20))} is not usable, wanted 0 to ${maxWaitMs}`,
    );
  }
  return ms;
}

function readText(body: Uint8Array<ArrayBuffer>): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    throw new EdgewiseError('invalid_request', 'cosignature is not usable: wanted a signed note as UTF-8');
  }
}
