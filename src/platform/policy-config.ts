/** Which rules of law an edge applies beside licences, and whose it takes. */
import { z } from 'zod';
import { openPacks, type SignedPack } from '../governance/policy/packs.ts';
import { importVerifyingKeys } from '../governance/receipt/keys.ts';
import { json } from './variables.ts';

export const policyVariables = {
  /** Policy packs in force, as JSON: compact JWS, as `edgewise pack sign` makes them. Empty: licences alone decide. */
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

/** @throws EdgewiseError saying which pack or key is not usable, and why. */
export async function importPolicyPacks({ packs, keys }: PolicyConfig): Promise<readonly SignedPack[]> {
  return packs.length === 0 ? [] : openPacks(packs, await importVerifyingKeys(keys));
}
