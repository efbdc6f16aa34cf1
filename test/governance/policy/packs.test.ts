import { readFileSync } from 'node:fs';
import { CompactSign } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { decide } from '../../../src/governance/policy/decide.ts';
import { findFutureRefusals, parseMoment } from '../../../src/governance/policy/dry-run.ts';
import { checkOf, packChecks } from '../../../src/governance/policy/pack-checks.ts';
import { openPack, openPacks, packType, parsePack, signPack } from '../../../src/governance/policy/packs.ts';
import type { GateFacts } from '../../../src/governance/policy/types.ts';
import { generateSigningKey, importSigningKeys, type KeyRing } from '../../../src/governance/receipt/keys.ts';
import { digestOf } from '../../../src/storage/digest.ts';
import { facts, plainTerms, terms } from './facts.ts';

const shipped = ['eu-ai-act-art50', 'california-ab853'].map((name): unknown =>
  JSON.parse(readFileSync(`packs/${name}.json`, 'utf8')),
);
const [euPack, californiaPack] = shipped;

let authority: KeyRing;
let stranger: KeyRing;
beforeAll(async () => {
  const ring = async () => importSigningKeys(JSON.stringify({ keys: [await generateSigningKey()] }));
  [authority, stranger] = await Promise.all([ring(), ring()]);
});

const signedBy = (ring: KeyRing, pack: unknown) => signPack(pack, ring.signing);

describe('openPack()', () => {
  it.each(shipped)(
    'opens a pack that signPack() signed, and returns the digest of its text: $id',
    async (pack) => {
      const compact = await signedBy(authority, pack);
      const opened = await openPack(compact, authority.verifying, 'the pack');
      const payload = Buffer.from(compact.split('.')[1] ?? '', 'base64url');
      expect(opened).toMatchObject({
        ...Object.fromEntries(Object.entries(parsePack(pack, '')).filter(([name]) => name !== 'schema')),
        digest: await digestOf(new Uint8Array(payload)),
        kid: authority.signing.kid,
      });
    },
  );

  it('refuses a pack of another key, a changed pack, another kind of document, and an unsigned one', async () => {
    const compact = await signedBy(authority, euPack);
    const [header = '', payload = '', signature = ''] = compact.split('.');
    const changed = Buffer.from(payload, 'base64url').toString().replace('2026-08-02', '2036-08-02');
    const unsigned = Buffer.from('{"alg":"none"}').toString('base64url');
    const asReceipt = await new CompactSign(Buffer.from(payload, 'base64url'))
      .setProtectedHeader({ alg: 'EdDSA', kid: authority.signing.kid, typ: 'edgewise-receipt+jws' })
      .sign(authority.signing.key);
    for (const wrong of [
      await signedBy(stranger, euPack),
      [header, Buffer.from(changed).toString('base64url'), signature].join('.'),
      [unsigned, payload, ''].join('.'),
      asReceipt,
      'nonsense',
      '',
    ]) {
      await expect(openPack(wrong, authority.verifying, 'policy pack 1')).rejects.toMatchObject({
        code: 'signature_invalid',
        message: expect.stringContaining('policy pack 1'),
      });
    }
  });

  it('refuses a signed document that is not a pack', async () => {
    const compact = await new CompactSign(new TextEncoder().encode('{"schema":"edgewise.policy-pack.v1"}'))
      .setProtectedHeader({ alg: 'EdDSA', kid: authority.signing.kid, typ: packType })
      .sign(authority.signing.key);
    await expect(openPack(compact, authority.verifying, 'policy pack 1')).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });
});

describe('openPacks()', () => {
  it('refuses two versions of one pack', async () => {
    const compact = await signedBy(authority, euPack);
    await expect(openPacks([compact, compact], authority.verifying)).rejects.toThrow(
      /eu-ai-act-art50.*twice/,
    );
    expect(await openPacks([], authority.verifying)).toEqual([]);
  });
});

describe('signPack()', () => {
  it.each<[string, object, RegExp]>([
    ['an unknown check', { check: 'run-this-code' }, /rules\[0\]\.check is .*marking-present/],
    ['a check named like a property of every object', { check: 'constructor' }, /rules\[0\]\.check/],
    ['a date without a zone', { appliesFrom: '2027-01-01T00:00:00' }, /rules\[0\]\.appliesFrom/],
    ['a rule for some models', { appliesTo: 'some' }, /rules\[0\]\.appliesTo/],
  ])('refuses %s, naming the field', async (_, change, expected) => {
    const pack = parsePack(euPack, '');
    const changed = { ...pack, rules: [{ ...pack.rules[0], ...change }] };
    await expect(signedBy(authority, changed)).rejects.toThrow(expected);
  });
});

describe('a pack that is not in force yet', () => {
  const unmarked = terms({ kind: 'generative', duties: ['ai-label'] });
  const marked = terms({ kind: 'generative', duties: ['ai-label'], marking: { method: 'C2PA' } });
  const today = Date.parse('2026-11-24T12:00:00Z');
  const nextYear = Date.parse('2027-01-01T00:00:00Z');
  const model = (name: string, ofModel: typeof unmarked) => ({ name, version: '1', terms: ofModel });
  const packs = async () => openPacks([await signedBy(authority, californiaPack)], authority.verifying);
  const codeOf = (change: Partial<GateFacts>) => {
    const decision = decide(facts(change));
    return decision.permitted ? 'permitted' : decision.code;
  };

  it('refuses a generative model without marking from its date, and no other model', async () => {
    const inForce = await packs();
    expect(codeOf({ packs: inForce, terms: unmarked, now: today })).toBe('permitted');
    expect(codeOf({ packs: inForce, terms: unmarked, now: nextYear })).toBe('policy_refused');
    expect(codeOf({ packs: inForce, terms: marked, now: nextYear })).toBe('permitted');
    expect(codeOf({ packs: inForce, terms: plainTerms, now: nextYear })).toBe('permitted');
  });

  it('lists that model in a dry run before its date', async () => {
    const models = [model('writer', unmarked), model('painter', marked), model('digits', plainTerms)];
    const inForce = await packs();
    expect(findFutureRefusals(models, inForce, { at: today, now: today })).toEqual([]);
    expect(findFutureRefusals(models, inForce, { at: parseMoment('2027-01-01'), now: today })).toEqual([
      {
        model: 'writer',
        version: '1',
        pack: 'california-ab853',
        rule: 'hosting-disclosures',
        clause: 'Cal. Bus. & Prof. Code § 22757.3.2',
        appliesFrom: '2027-01-01T00:00:00+14:00',
        missing: checkOf('marking-present').missing,
        refusedNow: false,
      },
    ]);
    const [already] = findFutureRefusals(models, inForce, { at: nextYear, now: nextYear });
    expect(already?.refusedNow).toBe(true);
  });
});

describe('packChecks', () => {
  it.each(packChecks)('%s passes for a model that meets it only', (check) => {
    const all = terms({
      creator: { name: 'c', contact: 'c@example.org' },
      licence: { ...plainTerms.licence, acceptance: 'required' },
      duties: ['ai-label'],
      marking: { method: 'C2PA' },
      trainingData: { statement: 's', sources: ['s'], personalData: 'none' },
    });
    const nothing = terms({ trainingData: { statement: 's', sources: [], personalData: 'unknown' } });
    expect(checkOf(check).passes(all)).toBe(true);
    expect(checkOf(check).passes(nothing)).toBe(false);
  });
});

describe('parseMoment()', () => {
  it('reads a date as its last moment, and a time as it is', () => {
    expect(parseMoment('2027-01-01')).toBe(Date.parse('2027-01-01T23:59:59.999Z'));
    expect(parseMoment('2027-01-01T00:00:00+01:00')).toBe(Date.parse('2026-12-31T23:00:00Z'));
  });

  it.each(['', 'soon', '2027', '2027-13-01', '2027-01-01T00:00:00', '01/01/2027'])('refuses %j', (text) => {
    expect(() => parseMoment(text)).toThrow(/is not a time/);
  });
});
