/** Configuration of policy packs: the rules that an edge applies besides licences, and the keys that sign them. */
import { z } from 'zod';
import { openPacks, type SignedPack } from '../governance/policy/packs.ts';
import { importVerifyingKeys } from '../governance/receipt/keys.ts';
import { json } from './variables.ts';

export const policyVariables = {
  /** Policy packs in force, as a JSON array of compact JWS made by `edgewise pack sign`. Empty: licences alone decide. */
  EDGEWISE_POLICY_PACKS: json(z.array(z.string().min(1)).max(32), '[]'),
  /** The keys that packs are signed with, as a JWKS of public Ed25519 keys. */
  EDGEWISE_POLICY_KEYS: json(z.object({ keys: z.array(z.unknown()) }), '{"keys":[]}'),
};

type PolicyValues = z.output<z.ZodObject<typeof policyVariables>>;

export interface PolicyConfig {
  readonly packs: readonly string[];
  /** A JWKS. */
  readonly keys: unknown;
}

export function policyConfig(values: PolicyValues): PolicyConfig {
  return { packs: values.EDGEWISE_POLICY_PACKS, keys: values.EDGEWISE_POLICY_KEYS };
}

/** @throws EdgewiseError naming the unusable pack or key, and why. */
export async function importPolicyPacks({ packs, keys }: PolicyConfig): Promise<readonly SignedPack[]> {
  return packs.length === 0 ? [] : openPacks(packs, await importVerifyingKeys(keys));
}
