/** The stop switch over R2, and policy packs under workerd's own cryptography. */
import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import californiaPack from '../../../packs/california-ab853.json';
import euPack from '../../../packs/eu-ai-act-art50.json';
import { type Clock, systemClock } from '../../../src/async/clock.ts';
import { openPacks, signPack } from '../../../src/governance/policy/packs.ts';
import { Stops } from '../../../src/governance/policy/stops.ts';
import { generateSigningKey, importSigningKeys } from '../../../src/governance/receipt/keys.ts';
import { termsSchema } from '../../../src/repository/terms.ts';
import { r2StateStore } from '../../../src/storage/r2.ts';
import { ManualClock } from '../../support/clock.ts';
import { openTerms } from '../../support/terms.ts';

function isolate<C extends Clock>(clock: C) {
  const now = () => Date.parse('2026-12-01T00:00:00Z');
  const stops = new Stops({ state: r2StateStore(env.RECORDS), clock, defer: (work) => void work, now });
  return { clock, stops };
}

describe('Stops over R2', () => {
  it('stop and resume a model here at once and elsewhere within five seconds', async () => {
    const [here, there] = [isolate(new ManualClock()), isolate(new ManualClock())];
    expect(await there.stops.of('acme/vision')).toBeUndefined();
    await here.stops.stop('acme/vision', 'it answers wrongly');
    expect(await here.stops.of('acme/vision')).toMatchObject({ reason: 'it answers wrongly' });
    there.clock.advance(5000);
    expect(await there.stops.of('acme/vision')).toMatchObject({ reason: 'it answers wrongly' });
    await here.stops.resume('acme/vision');
    there.clock.advance(5000);
    expect(await there.stops.of('acme/vision')).toBeUndefined();
  });

  it('lose no concurrent stop', async () => {
    const names = ['a', 'b', 'c', 'd'];
    // Isolates that lose a race pause before they retry.
    await Promise.all(names.map((name) => isolate(systemClock).stops.stop(name, 'r')));
    expect(Object.keys(await isolate(systemClock).stops.all())).toEqual(expect.arrayContaining(names));
  });
});

describe('openPacks() in workerd', () => {
  it('accepts packs that the key signed, and no others', async () => {
    const ring = await importSigningKeys(JSON.stringify({ keys: [await generateSigningKey()] }));
    const other = await importSigningKeys(JSON.stringify({ keys: [await generateSigningKey()] }));
    const compacts = await Promise.all([euPack, californiaPack].map((pack) => signPack(pack, ring.signing)));
    expect((await openPacks(compacts, ring.verifying)).map(({ id }) => id)).toEqual([
      'eu-ai-act-art50',
      'california-ab853',
    ]);
    await expect(openPacks(compacts, other.verifying)).rejects.toMatchObject({ code: 'signature_invalid' });
  });
});

describe('termsSchema in workerd', () => {
  it('parses SPDX expressions', () => {
    const spdx = (text: string) =>
      termsSchema.safeParse({ ...openTerms, licence: { ...openTerms.licence, spdx: text } }).success;
    expect(spdx('(MIT OR Apache-2.0) AND LicenseRef-acme')).toBe(true);
    expect(spdx('Apache 2')).toBe(false);
  });
});
