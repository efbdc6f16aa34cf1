import { describe, expect, it, vi } from 'vitest';
import { memoryLog } from '../../../src/governance/log/memory-log.ts';
import { ManualClock } from '../../support/clock.ts';
import { testGovernanceBindings, testLogKey } from '../../support/governance-keys.ts';
import { receiptLogContract } from './contract.ts';
import { hashOf, recordsOf } from './records.ts';

const keys = { logKey: testLogKey, witnesses: testGovernanceBindings.EDGEWISE_WITNESSES };

receiptLogContract('memory', async () => {
  const log = await memoryLog({ ...keys, clock: new ManualClock() });
  return { log, settle: log.flush };
});

describe('memoryLog()', () => {
  it('runs a round an interval after the first entry that waits', async () => {
    const clock = new ManualClock();
    const log = await memoryLog({ ...keys, clock, intervalMs: 500 });
    await log.append(await recordsOf(0, 1));
    clock.advance(300);
    await log.append(await recordsOf(1, 2));
    expect(clock.pending).toBe(1);
    const waiting = log.prove(await hashOf(1), 10_000);
    clock.advance(199);
    expect(await log.file('checkpoint')).toBeUndefined();
    clock.advance(1);
    expect((await waiting)?.index).toBe(1);
  });

  it('stops waiting at the time that it was given', async () => {
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
    [{ ...keys, witnesses: 'nobody' }, /EDGEWISE_WITNESSES is not usable/],
  ])('says which key is missing or wrong, and not what it is', async (options, complaint) => {
    const failure = memoryLog({ ...options, clock: new ManualClock() });
    await expect(failure).rejects.toThrow(complaint);
    await expect(failure).rejects.not.toThrow('ARwtTUeu');
  });
});
