import { createHmac, hkdfSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createMeterTagger, monthOf } from '../../../src/governance/receipt/meter-tag.ts';
import { testRecordsKeys } from '../../support/governance-keys.ts';
import { arrivalMs } from './facts.ts';

const keys = testRecordsKeys.split(',');

function described(key: string, meter: string, month: string): Uint8Array {
  const derived = hkdfSync('sha256', Buffer.from(key, 'base64url'), '', 'edgewise.meter.v1', 32);
  const mac = createHmac('sha256', Buffer.from(derived)).update(`${meter}\n${month}`).digest();
  return new Uint8Array(mac.subarray(0, 16));
}

describe('createMeterTagger()', () => {
  it('tags as its description says, under the first key', async () => {
    const meters = await createMeterTagger(keys);
    expect(await meters.tag('grant:g1', arrivalMs)).toEqual(described(keys[0] ?? '', 'grant:g1', '2026-11'));
  });

  it('answers at once what it knows', async () => {
    const meters = await createMeterTagger(keys);
    const first = meters.tag('grant:g1', arrivalMs);
    expect(first).toBeInstanceOf(Promise);
    expect(meters.tag('grant:g1', arrivalMs + 1000)).toBeInstanceOf(Promise);
    const tag = await first;
    expect(meters.tag('grant:g1', arrivalMs)).toBe(tag);
  });

  it('has another tag for another meter and another month', async () => {
    const meters = await createMeterTagger(keys);
    const tags = await Promise.all([
      meters.tag('grant:g1', arrivalMs),
      meters.tag('grant:g2', arrivalMs),
      meters.tag('grant:g1', Date.parse('2026-12-01T00:00:00Z')),
      meters.tag('grant:g1', Date.parse('2026-10-31T23:59:59.999Z')),
    ]);
    expect(new Set(tags.map(String)).size).toBe(4);
  });

  it('has the tags of a month for every key', async () => {
    const meters = await createMeterTagger(keys);
    expect(await meters.tags('grant:g1', '2026-11')).toEqual(
      keys.map((key) => described(key, 'grant:g1', '2026-11')),
    );
  });

  it('refuses keys that are none, without repeating them', async () => {
    await expect(createMeterTagger([])).rejects.toThrow('there is no records key');
    await expect(createMeterTagger([keys[0] ?? '', 'short'])).rejects.toThrow(
      /^records key 2 is not usable, wanted 32 random bytes/,
    );
  });
});

describe('monthOf()', () => {
  it('is the month in UTC', () => {
    expect(monthOf(Date.parse('2026-11-30T23:59:59.999Z'))).toBe('2026-11');
    expect(monthOf(Date.parse('2026-12-01T00:00:00.000Z'))).toBe('2026-12');
  });
});
