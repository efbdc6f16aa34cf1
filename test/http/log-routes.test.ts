import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/bytes.ts';
import { toEdgewiseError } from '../../src/errors.ts';
import { openCheckpoint } from '../../src/governance/log/checkpoint.ts';
import { formatSignatureLine, parseNote } from '../../src/governance/log/note.ts';
import { parseVerifierKey } from '../../src/governance/log/note-keys.ts';
import { decodeProof, verifyProof } from '../../src/governance/log/proof.ts';
import { type AppEnv, identifyRequest } from '../../src/http/context.ts';
import { oipErrorResponse } from '../../src/http/error-response.ts';
import { logRoutes } from '../../src/http/routes/log.ts';
import { hashOf, recordOf, recordsOf, testPolicy } from '../governance/log/records.ts';
import { ManualClock } from '../support/clock.ts';
import {
  strangeWitness,
  testGovernanceBindings,
  testLogKey,
  testLogVerifierKey,
  testWitnesses,
} from '../support/governance-keys.ts';
import { memoryLog } from '../support/memory-log.ts';
import { testBodies } from '../support/reading.ts';
import { testService } from '../support/services.ts';
import { parseCosignerKey } from '../support/witness.ts';

async function served(count: number) {
  const log = await memoryLog({
    logKey: testLogKey,
    witnesses: testGovernanceBindings.EDGEWISE_WITNESSES,
    clock: new ManualClock(),
  });
  await log.append(await recordsOf(0, count));
  await log.flush();
  const app = new Hono<AppEnv>();
  app.use(identifyRequest(testBodies()));
  const { services } = await testService();
  app.route('/', logRoutes(services, log, testLogVerifierKey));
  app.onError((error) => oipErrorResponse(toEdgewiseError(error)));
  const get = (path: string) => app.request(path);
  const post = (body: string | Uint8Array<ArrayBuffer>) =>
    app.request('/log/cosignatures', { method: 'POST', body });
  return { get, post };
}

describe('logRoutes()', () => {
  it('serves the checkpoint as text that no cache keeps', async () => {
    const { get } = await served(3);
    const response = await get('/log/checkpoint');
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-cache');
    const { log } = await testPolicy();
    expect((await openCheckpoint(await response.text(), log)).size).toBe(3);
  });

  it('serves the public key that its checkpoints are verified with', async () => {
    const { get } = await served(1);
    const key = await parseVerifierKey((await (await get('/log/key')).text()).trim());
    const checkpoint = await (await get('/log/checkpoint')).text();
    expect((await openCheckpoint(checkpoint, key)).size).toBe(1);
  });

  it('serves tiles and entry bundles as bytes that everybody may keep', async () => {
    const { get } = await served(300);
    for (const [path, bytes] of [
      ['tile/0/000', 8192],
      ['tile/0/001.p/44', 44 * 32],
      ['tile/1/000.p/1', 32],
      ['tile/entries/000', 256 * 55],
      ['tile/entries/001.p/44', 44 * 55],
    ] as const) {
      const response = await get(`/log/${path}`);
      expect(response.headers.get('content-type')).toBe('application/octet-stream');
      expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
      expect((await response.arrayBuffer()).byteLength).toBe(bytes);
    }
  });

  it.each([
    '/log/tile/0/002',
    '/log/tile/0/001.p/45',
    '/log/tile/0/0',
    '/log/tile/../receipts/000',
    '/log/tile/..%2f..%2freceipts/000',
    '/log/receipts/000',
    '/log/tile/',
    '/log/tile/tile/0/000',
    `/log/proofs/${'0'.repeat(64)}`,
  ])('answers 404 to %s, which no cache may keep', async (path) => {
    const { get } = await served(300);
    const response = await get(path);
    expect(response.status).toBe(404);
    expect(response.headers.get('cache-control') ?? '').not.toContain('immutable');
  });

  it('answers 404 for the checkpoint of an empty log', async () => {
    const { get } = await served(0);
    expect((await get('/log/checkpoint')).status).toBe(404);
  });

  it('proves a receipt by its hash', async () => {
    const { get } = await served(5);
    const response = await get(`/log/proofs/${toHex(await hashOf(3))}`);
    expect(response.status).toBe(200);
    const proof = decodeProof(await response.text());
    expect(await verifyProof(proof, (await recordOf(3)).entry, await testPolicy())).toMatchObject({
      index: 3,
    });
  });

  it.each([
    '/log/proofs/xyz',
    `/log/proofs/${'A'.repeat(64)}`,
    `/log/proofs/${'0'.repeat(64)}?wait_ms=10001`,
    `/log/proofs/${'0'.repeat(64)}?wait_ms=-1`,
  ])('answers 400 to %s', async (path) => {
    const { get } = await served(1);
    expect((await get(path)).status).toBe(400);
  });

  it("adds a witness's line, and no stranger's", async () => {
    const { get, post } = await served(2);
    const { text } = parseNote(await (await get('/log/checkpoint')).text());
    const line = async ({ privateKey }: { privateKey: string }) =>
      `${formatSignatureLine(await (await parseCosignerKey(privateKey, () => 1_800_000_000)).sign(text))}\n`;
    const ours = await line(testWitnesses[0]);
    expect((await post(ours)).status).toBe(204);
    expect(await (await get('/log/checkpoint')).text()).toContain(ours);
    expect((await post(await line(strangeWitness))).status).toBe(400);
    expect((await post(Uint8Array.of(0xff))).status).toBe(400);
    expect((await post('—'.repeat(20_000))).status).toBe(413);
    expect((await post(`${text.replace('\n2\n', '\n7\n')}\n${ours}`)).status).toBe(409);
  });
});
