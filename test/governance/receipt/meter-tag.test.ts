import { createHmac, hkdfSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createMeterTagger, monthOf } from '../../../src/governance/receipt/meter-tag.ts';
import { testRecordsKeys } from '../../support/governance-keys.ts';
import { arrivalMs } from './facts.ts';

const keys = testRecordsKeys.split(',');

function specifiedTag(key: string, meter: string, month: string): Uint8Array {
  const derived = hkdfSync('sha256', Buffer.from(key, 'base64url'), '', 'edgewise.meter.v1', 32);
  const mac = createHmac('sha256', Buffer.from(derived)).update(`${meter}\n${month}`).digest();
  return new Uint8Array(mac.subarray(0, 16));
}

describe('createMeterTagger()', () => {
  it('computes the specified tag with the first key', async () => {
    const meters = await createMeterTagger(keys);
    expect(await meters.tag('grant:g1', arrivalMs)).toEqual(
      specifiedTag(keys[0] ?? '', 'grant:g1', '2026-11'),
    );
  });

  it('returns a known tag without a promise', async () => {
    const meters = await createMeterTagger(keys);
    const first = meters.tag('grant:g1', arrivalMs);
    expect(first).toBeInstanceOf(Promise);
    expect(meters.tag('grant:g1', arrivalMs + 1000)).toBeInstanceOf(Promise);
    const tag = await first;
    expect(meters.tag('grant:g1', arrivalMs)).toBe(tag);
  });

  it('gives each meter and month its own tag', async () => {
    const meters = await createMeterTagger(keys);
    const tags = await Promise.all([
      meters.tag('grant:g1', arrivalMs),
      meters.tag('grant:g2', arrivalMs),
      meters.tag('grant:g1', Date.parse('2026-12-01T00:00:00Z')),
      meters.tag('grant:g1', Date.parse('2026-10-31T23:59:59.999Z')),
    ]);
    expect(new Set(tags.map(String)).size).toBe(4);
  });

  it('returns the tags of a month, one for each key', async () => {
    const meters = await createMeterTagger(keys);
    expect(await meters.tags('grant:g1', '2026-11')).toEqual(
      keys.map((key) => specifiedTag(key, 'grant:g1', '2026-11')),
    );
  });

  it('refuses malformed keys without repeating them', async () => {
    await expect(createMeterTagger([])).rejects.toThrow('there is no records key');
    await expect(createMeterTagger([keys[0] ?? '', 'short'])).rejects.toThrow(
      /^records key 2 is malformed; expected 32 random bytes/,
    );
  });
});

describe('monthOf()', () => {
  it('is the month in UTC', () => {
    expect(monthOf(Date.parse('2026-11-30T23:59:59.999Z'))).toBe('2026-11');
    expect(monthOf(Date.parse('2026-12-01T00:00:00.000Z'))).toBe('2026-12');
  });
});
