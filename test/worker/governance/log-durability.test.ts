import {
  abortAllDurableObjects,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
} from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/async/clock.ts';
import { TransparencyLog } from '../../../src/durable-objects/log.ts';
import { durableObjectLog } from '../../../src/durable-objects/log-driver.ts';
import { BatchingAppender, wrapRecord } from '../../../src/governance/log/appender.ts';
import { openCheckpoint } from '../../../src/governance/log/checkpoint.ts';
import { inclusionPath, leafHash } from '../../../src/governance/log/merkle.ts';
import { verifyProof } from '../../../src/governance/log/proof.ts';
import { bundleEntries, newTiles, tileNodes } from '../../../src/governance/log/tiles.ts';
import type { ReceiptLog } from '../../../src/governance/log/types.ts';
import { verifyInclusion } from '../../../src/governance/log/verify.ts';
import { hashOf, recordOf, recordsOf, testPolicy } from '../../governance/log/records.ts';

async function emptyLog(name: string) {
  const { objects } = await env.RECORDS.list();
  await env.RECORDS.delete(objects.map(({ key }) => key));
  const log = durableObjectLog({ namespace: env.LOG, bucket: env.RECORDS, name });
  return { log, stub: () => env.LOG.getByName(name) };
}

async function expectProven(log: ReceiptLog, n: number): Promise<void> {
  const proof = await log.prove(await hashOf(n), 0);
  if (proof === undefined) return expect.fail(`receipt ${n} is not in the log`);
  expect((await verifyProof(proof, (await recordOf(n)).entry, await testPolicy())).index).toBe(proof.index);
}

/** Verifies the whole log from its files alone, and returns the receipts' entries. */
async function auditFiles(log: ReceiptLog): Promise<Uint8Array[]> {
  const { log: key } = await testPolicy();
  const { size, root } = await openCheckpoint(
    new TextDecoder().decode(await log.readFile('checkpoint')),
    key,
  );
  const read = tileNodes(size, (path) => log.readFile(path));
  const bundles = newTiles(0, size).filter(({ level }) => level === undefined);
  const entries = (
    await Promise.all(bundles.map((ref) => bundleEntries(ref, (path) => log.readFile(path))))
  ).flat();
  for (const [index, entry] of entries.entries()) {
    const path = await inclusionPath(index, size, read);
    const claim = { index, size, root, path, leafHash: await leafHash(entry) };
    if (!(await verifyInclusion(claim))) expect.fail(`entry ${index}`);
  }
  return entries;
}

const isSame = (one: Uint8Array, other: Uint8Array) => one.join() === other.join();

describe('the log in a Durable Object', () => {
  it('publishes an entry in a checkpoint within three seconds, by its own alarm', async () => {
    const { log } = await emptyLog('alarm');
    await log.append(await recordsOf(0, 3));
    const startMs = performance.now();
    const proof = await log.prove(await hashOf(2), 5000);
    expect(proof?.index).toBe(2);
    expect(performance.now() - startMs).toBeLessThan(3000);
    await expectProven(log, 2);
  });

  it('loses nothing to evictions between any two steps', async () => {
    const { log, stub } = await emptyLog('evicted');
    await log.append(await recordsOf(0, 2));
    await evictDurableObject(stub());
    await log.append(await recordsOf(1, 300));
    await evictDurableObject(stub());
    expect(await runDurableObjectAlarm(stub())).toBe(true);
    await evictDurableObject(stub());
    await expectProven(log, 299);
    await evictDurableObject(stub());
    await log.append(await recordsOf(290, 310));
    await evictDurableObject(stub());
    expect(await runDurableObjectAlarm(stub())).toBe(true);
    await evictDurableObject(stub());
    for (const n of [0, 1, 255, 256, 299, 300, 309]) await expectProven(log, n);
    expect(await auditFiles(log)).toHaveLength(310);
  });

  it('loses nothing to crashes', async () => {
    const { log, stub } = await emptyLog('aborted');
    for (let round = 0; round < 3; round += 1) {
      await log.append(await recordsOf(round * 10, round * 10 + 10));
      await abortAllDurableObjects();
      await runDurableObjectAlarm(stub());
      await abortAllDurableObjects();
    }
    for (const n of [0, 9, 10, 29]) await expectProven(log, n);
    expect(await auditFiles(log)).toHaveLength(30);
  });

  it('takes over a thousand entries through appenders while it is evicted repeatedly', async () => {
    const { log, stub } = await emptyLog('thousand');
    const records = await recordsOf(0, 1200);
    const appenders = Array.from({ length: 4 }, () => new BatchingAppender({ log, clock: systemClock }));
    const adding = records.map((record, n) => appenders[n % 4]?.add(wrapRecord(record)));
    // As if the holders of the same receipts submitted them, too.
    const handedIn = log.append(records.slice(500, 600));
    for (let times = 0; times < 5; times += 1) {
      await evictDurableObject(stub()).catch(() => undefined);
      await runDurableObjectAlarm(stub());
    }
    await Promise.all([...adding, handedIn]);
    while (await runDurableObjectAlarm(stub()));
    const entries = await auditFiles(log);
    expect(entries).toHaveLength(1200);
    expect(new Set(entries.map((entry) => entry.join()))).toEqual(
      new Set(records.map(({ entry }) => entry.join())),
    );
  });

  it('repairs a round that failed at any access to R2', async () => {
    const { log, stub } = await emptyLog('broken');
    let isOver = false;
    let count = 0;
    for (let at = 0; !isOver; at += 1) {
      await log.append(await recordsOf(count, count + 60));
      count += 60;
      const last = await hashOf(count - 1);
      isOver = await runInDurableObject(stub(), async (_, state) => {
        await state.storage.deleteAlarm();
        const { bucket, hasBroken } = breakingBucket(env.RECORDS, at);
        const object = new TransparencyLog(state, { ...env, RECORDS: bucket });
        await object.alarm();
        // A failed round is repeated, unless only its clean-up failed.
        const isSetAgain = (await state.storage.getAlarm()) !== null;
        if (!isSetAgain) expect(await object.locate(last, 0)).toMatchObject({ value: { index: count - 1 } });
        return !hasBroken();
      });
      // The live instance does not know what the broken one did.
      await evictDurableObject(stub());
      await runDurableObjectAlarm(stub());
      await expectProven(log, count - 1);
    }
    expect(count).toBeGreaterThan(300);
    const entries = await auditFiles(log);
    const records = await recordsOf(0, count);
    expect(entries.every((entry, n) => isSame(entry, records[n]?.entry ?? new Uint8Array()))).toBe(true);
    expect(entries).toHaveLength(count);
  });

  it.each([
    [{ EDGEWISE_LOG_KEY: undefined }, /EDGEWISE_LOG_KEY is not set/],
    [{ EDGEWISE_LOG_KEY: 'PRIVATE+KEY+x' }, /EDGEWISE_LOG_KEY is not usable/],
    [{ EDGEWISE_WITNESSES: 'unknown' }, /EDGEWISE_WITNESSES is not usable/],
  ])('refuses every call without its keys: %j', async (setting, complaint) => {
    const { stub } = await emptyLog('keyless');
    await runInDurableObject(stub(), async (_, state) => {
      const object = new TransparencyLog(state, { ...env, ...setting });
      const answers = await Promise.all([
        object.append(await recordsOf(0, 1)),
        object.locate(await hashOf(0), 0),
        object.find('id'),
        object.readSealed(0),
        object.cosign(''),
      ]);
      for (const answer of answers) {
        expect(answer).toMatchObject({
          refused: { code: 'internal', message: expect.stringMatching(complaint) },
        });
      }
    });
  });

  it('passes on errors with their code', async () => {
    const { log } = await emptyLog('refusing');
    await expect(log.append([{ id: 'a', entry: new Uint8Array(1) }])).rejects.toMatchObject({
      name: 'EdgewiseError',
      code: 'invalid_request',
    });
  });
});

/** Returns the bucket with a failing operation number `at`. Every second failing put takes effect. */
function breakingBucket(bucket: R2Bucket, at: number) {
  let operations = 0;
  let hasBroken = false;
  const broken = new Proxy(bucket, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property);
      if (typeof value !== 'function') return value;
      return async (...given: unknown[]) => {
        operations += 1;
        const isNow = operations === at + 1;
        if (isNow) hasBroken = true;
        const result: unknown = isNow && at % 2 === 0 ? undefined : await Reflect.apply(value, target, given);
        if (isNow) throw new Error('R2 is away');
        return result;
      };
    },
  });
  return { bucket: broken, hasBroken: () => hasBroken };
}
