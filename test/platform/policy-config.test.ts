import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { signPack } from '../../src/governance/policy/packs.ts';
import { generateSigningKey, importSigningKeys } from '../../src/governance/receipt/keys.ts';
import { readConfig } from '../../src/platform/config.ts';
import { importPolicyPacks } from '../../src/platform/policy-config.ts';
import { testGovernanceBindings } from '../support/governance-keys.ts';

const importFrom = (variables: Readonly<Record<string, string>>) =>
  importPolicyPacks(readConfig({ ...testGovernanceBindings, ...variables }).policy);

describe('importPolicyPacks()', () => {
  it('has no packs if none is configured', async () => {
    expect(await importFrom({})).toEqual([]);
  });

  it('accepts packs only with the public key of the key that signed them', async () => {
    const { d, ...publicHalf } = await generateSigningKey();
    const ring = await importSigningKeys(JSON.stringify({ keys: [{ ...publicHalf, d }] }));
    const pack = JSON.parse(readFileSync('packs/eu-ai-act-art50.json', 'utf8'));
    const EDGEWISE_POLICY_PACKS = JSON.stringify([await signPack(pack, ring.signing)]);
    const EDGEWISE_POLICY_KEYS = JSON.stringify({ keys: [publicHalf] });
    const [opened] = await importFrom({ EDGEWISE_POLICY_PACKS, EDGEWISE_POLICY_KEYS });
    expect(opened).toMatchObject({ id: 'eu-ai-act-art50', kid: publicHalf.kid });
    await expect(importFrom({ EDGEWISE_POLICY_PACKS })).rejects.toMatchObject({ code: 'signature_invalid' });
  });

  it.each([
    ['EDGEWISE_POLICY_PACKS', 'a.b.c'],
    ['EDGEWISE_POLICY_PACKS', '[1]'],
    ['EDGEWISE_POLICY_KEYS', '[]'],
  ])('fails the start for %s=%s', async (key, value) => {
    expect(() => readConfig({ ...testGovernanceBindings, [key]: value })).toThrow(key);
  });
});
