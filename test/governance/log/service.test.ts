import { describe, expect, it, vi } from 'vitest';
import { formatSignatureLine, parseNote } from '../../../src/governance/log/note.ts';
import { ManualClock } from '../../support/clock.ts';
import { testGovernanceBindings, testLogKey, testWitnesses } from '../../support/governance-keys.ts';
import { memoryLog } from '../../support/memory-log.ts';
import { memoryLogObjects } from '../../support/memory-log-store.ts';
import { parseCosignerKey } from '../../support/witness.ts';
import { receiptLogContract } from './contract.ts';
import { hashOf, recordsOf } from './records.ts';

const keys = { logKey: testLogKey, witnesses: testGovernanceBindings.EDGEWISE_WITNESSES };

receiptLogContract('memory', async () => {
  const log = await memoryLog({ ...keys, clock: new ManualClock() });
  return { log, settle: log.flush };
});

describe('LogService', () => {
  it('runs a round one interval after the first waiting entry', async () => {
    const clock = new ManualClock();
    const log = await memoryLog({ ...keys, clock, intervalMs: 500 });
    await log.append(await recordsOf(0, 1));
    clock.advance(300);
    await log.append(await recordsOf(1, 2));
    expect(clock.pending).toBe(1);
    const waiting = log.prove(await hashOf(1), 10_000);
    clock.advance(199);
    expect(await log.readFile('checkpoint')).toBeUndefined();
    clock.advance(1);
    expect((await waiting)?.index).toBe(1);
  });

  it('lets a bounded number of callers wait for unknown receipts, and all callers wait for known ones', async () => {
    const clock = new ManualClock();
    const log = await memoryLog({ ...keys, clock });
    const unknown = Promise.all(
      Array.from({ length: 256 }, () => log.prove(new Uint8Array(32).fill(9), 10_000)),
    );
    await vi.waitFor(() => expect(clock.pending).toBe(256));
    expect(await log.prove(await hashOf(0), 10_000)).toBeUndefined();
    await log.append(await recordsOf(0, 1));
    const own = log.prove(await hashOf(0), 10_000);
    await vi.waitFor(() => expect(clock.pending).toBe(258));
    clock.advance(1000);
    expect((await own)?.index).toBe(0);
    clock.advance(9000);
    expect(await unknown).not.toContainEqual(expect.anything());
    const again = log.prove(await hashOf(5), 10_000);
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    clock.advance(10_000);
    expect(await again).toBeUndefined();
  });

  it('writes nothing for a cosignature that it already has', async () => {
    const objects = memoryLogObjects();
    let published = 0;
    const log = await memoryLog({
      ...keys,
      clock: new ManualClock(),
      objects: {
        ...objects,
        replace: (path, bytes, etag) => {
          published += 1;
          return objects.replace(path, bytes, etag);
        },
      },
    });
    await log.append(await recordsOf(0, 1));
    await log.flush();
    const { text } = parseNote(new TextDecoder().decode(await log.readFile('checkpoint')));
    const line = async (at: number) => {
      const cosigner = await parseCosignerKey(testWitnesses[0].privateKey, () => at);
      return `${formatSignatureLine(await cosigner.sign(text))}\n`;
    };
    await log.cosign(await line(1_800_000_000));
    const before = published;
    for (const at of [1_800_000_000, 1_799_999_999, 1_800_000_000]) await log.cosign(await line(at));
    expect(published).toBe(before);
    await log.cosign(await line(1_800_000_001));
    expect(published).toBe(before + 1);
  });

  it('stops waiting after the requested time', async () => {
    const clock = new ManualClock();
    const log = await memoryLog({ ...keys, clock });
    const waiting = log.prove(await hashOf(1), 50);
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    clock.advance(50);
    expect(await waiting).toBeUndefined();
  });

  it.each([
    [{ ...keys, logKey: undefined }, /EDGEWISE_LOG_KEY is not set/],
    [{ ...keys, logKey: ' ' }, /EDGEWISE_LOG_KEY is not set/],
    [{ ...keys, logKey: `${testLogKey}x` }, /EDGEWISE_LOG_KEY is not usable/],
    [{ ...keys, witnesses: 'not-a-key' }, /EDGEWISE_WITNESSES is not usable/],
  ])('names the key that is missing or malformed, without its value', async (options, complaint) => {
    const failure = memoryLog({ ...options, clock: new ManualClock() });
    await expect(failure).rejects.toThrow(complaint);
    await expect(failure).rejects.not.toThrow('ARwtTUeu');
  });
});
