/**
 * The worker is killed under load, twice, as by a power cut: every receipt that a caller holds is in the log in the end,
 * most of them without help, the others because their holder submits them.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { base64url } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type DevServer, startDevServer } from '../../scripts/dev-server.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { openCheckpoint } from '../../src/governance/log/checkpoint.ts';
import { encodeEntry, entryOf } from '../../src/governance/log/entry.ts';
import { consistencyPath } from '../../src/governance/log/merkle.ts';
import { parseVerifierKey } from '../../src/governance/log/note-keys.ts';
import { decodeProof, verifyProof } from '../../src/governance/log/proof.ts';
import { tileNodes } from '../../src/governance/log/tiles.ts';
import { verifyConsistency } from '../../src/governance/log/verify.ts';
import { peekReceipt } from '../../src/governance/receipt/read.ts';
import { testGovernanceBindings, testLogVerifierKey } from '../support/governance-keys.ts';
import { identityModel } from '../support/onnx-models.ts';
import { writeModelFolder } from './model-folders.ts';

const persistTo = mkdtempSync(join(tmpdir(), 'edgewise-survive-'));
const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1, 2] }] });
const logged = z.object({ receipt: z.string(), proof: z.string() });
let worker: DevServer;
const held: string[] = [];
const checkpoints: string[] = [];

const start = () => startDevServer({ persistTo, secrets: testGovernanceBindings });

beforeAll(async () => {
  worker = await start();
  const folder = mkdtempSync(join(tmpdir(), 'edgewise-model-'));
  writeModelFolder(folder, identityModel('FP32', ['n']).graph, { name: 'echo' });
  await pushModel(folder, { ...worker, aliases: ['stable'] });
  rmSync(folder, { recursive: true });
});
afterAll(async () => {
  await worker?.stop();
  rmSync(persistTo, { recursive: true, force: true });
});

/** Sends requests from eight callers without a pause until the worker is gone. */
async function sendLoad(): Promise<void> {
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (;;) {
        const answer = await fetch(`${worker.url}/v2/models/echo/infer`, { method: 'POST', body }).catch(
          () => undefined,
        );
        if (answer === undefined) return;
        const receipt = answer.headers.get('edgewise-receipt');
        if (answer.status === 200 && receipt !== null) held.push(receipt);
        await answer.arrayBuffer().catch(() => undefined);
      }
    }),
  );
}

const hashOf = (receipt: string) => createHash('sha256').update(receipt).digest('hex');

async function proofOf(receipt: string): Promise<string | undefined> {
  const answer = await fetch(`${worker.url}/log/proofs/${hashOf(receipt)}`);
  return answer.ok ? answer.text() : undefined;
}

/** @throws unless the log proves, with its key, that it holds exactly this receipt. */
async function check(receipt: string, proof: string): Promise<number> {
  const { meter } = peekReceipt(receipt).receipt;
  const entry = await entryOf(receipt, new Uint8Array(base64url.decode(meter.tag)), meter.units);
  const log = await parseVerifierKey(testLogVerifierKey);
  return (await verifyProof(decodeProof(proof), encodeEntry(entry), { log })).index;
}

async function keepCheckpoint(): Promise<void> {
  const answer = await fetch(`${worker.url}/log/checkpoint`);
  if (answer.ok) checkpoints.push(await answer.text());
}

describe('a worker that is killed under load', () => {
  it('has every receipt that its callers hold in the log in the end, in a single history', async () => {
    for (let round = 0; round < 2; round += 1) {
      const before = held.length;
      const loading = sendLoad();
      await expect.poll(() => held.length - before, { timeout: 60_000 }).toBeGreaterThan(300);
      await keepCheckpoint();
      process.kill(-worker.pid, 'SIGKILL');
      await loading;
      worker = await start();
      await keepCheckpoint();
    }
    expect(held.length).toBeGreaterThan(600);
    expect(new Set(held).size).toBe(held.length);

    let missing = 0;
    const indexes = new Set<number>();
    for (const receipt of held) {
      let proof = await proofOf(receipt);
      if (proof === undefined) {
        missing += 1;
        const answer = await fetch(`${worker.url}/v1/receipts`, {
          method: 'POST',
          body: receipt,
          headers: { Prefer: 'receipt=logged' },
        });
        expect(answer.ok, await answer.clone().text()).toBe(true);
        proof = logged.parse(await answer.json()).proof;
      }
      indexes.add(await check(receipt, proof));
    }
    expect(indexes.size).toBe(held.length);
    console.log(`${held.length} receipts held, ${missing} of them handed in after the worker had died`);

    await keepCheckpoint();
    const log = await parseVerifierKey(testLogVerifierKey);
    const opened = await Promise.all(checkpoints.map((checkpoint) => openCheckpoint(checkpoint, log, [])));
    const files = async (path: string) => {
      const answer = await fetch(`${worker.url}/log/${path}`);
      return answer.ok ? new Uint8Array(await answer.arrayBuffer()) : undefined;
    };
    const latest = opened.at(-1);
    if (latest === undefined) throw new Error('no checkpoint');
    for (const older of opened) {
      const path = await consistencyPath(older.size, latest.size, tileNodes(latest.size, files));
      const isConsistent = await verifyConsistency({
        oldSize: older.size,
        oldRoot: older.root,
        newSize: latest.size,
        newRoot: latest.root,
        path,
      });
      expect(isConsistent, `${older.size} to ${latest.size}`).toBe(true);
    }
  }, 240_000);
});
