/**
 * Policy packs: rules of law as dated data. A pack is signed by an authority that this server trusts, and its digest is on
 * every receipt, so that the applied rules can be proven later. A stricter law needs a new pack, not a new release, and a dry
 * run shows what it would refuse before it applies.
 */
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { digestOf } from '../../storage/digest.ts';
import type { ServerSigningKey, VerifyingKeys } from '../receipt/keys.ts';
import { parsePayload, signDocument, verifyDocument } from '../signed-document.ts';
import { type PolicyPack, packSchema } from './schema.ts';
import type { PackInForce } from './types.ts';

/** `typ` of the JWS header. */
export const packType = 'edgewise-policy-pack+jws';

/** A pack whose signature was verified. */
export interface SignedPack extends PackInForce {
  readonly title: string;
  readonly rules: PolicyPack['rules'];
  /** Id of the key that signed it. */
  readonly kid: string;
}

/** Returns the pack as a compact JWS. @throws EdgewiseError `invalid_request` naming the invalid field of `pack`. */
export async function signPack(pack: unknown, key: ServerSigningKey): Promise<string> {
  return signDocument(parsePack(pack, 'the policy pack'), packType, key);
}

/**
 * Verifies a signed pack.
 *
 * @param what Names the pack in messages: `policy pack 2`.
 * @throws EdgewiseError `signature_invalid` if no key of `keys` signed it; `invalid_request` if it is not a valid pack.
 */
export async function openPack(compact: string, keys: VerifyingKeys, what: string): Promise<SignedPack> {
  const { payload, kid } = await verifyDocument(compact, packType, keys, what);
  const { id, version, title, rules } = parsePack(parsePayload(payload, what), what);
  return { id, version, title, rules, digest: await digestOf(payload), kid };
}

/**
 * Verifies all configured packs. A pack that cannot be verified fails the start, so that no rule is silently ignored.
 *
 * @throws EdgewiseError as `openPack`; `invalid_request` if two packs have the same id.
 */
export async function openPacks(
  compacts: readonly string[],
  keys: VerifyingKeys,
): Promise<readonly SignedPack[]> {
  const packs = await Promise.all(
    compacts.map((compact, at) => openPack(compact, keys, `policy pack ${at + 1}`)),
  );
  const twice = packs.find(({ id }, at) => packs.findIndex((pack) => pack.id === id) !== at);
  if (twice !== undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `policy pack ${twice.id} is configured twice; expected one version of it`,
    );
  }
  return packs;
}

/** @throws EdgewiseError `invalid_request` */
export function parsePack(pack: unknown, what: string): PolicyPack {
  const checked = checkDocument(packSchema, pack, { whole: 'it' });
  if (checked.success) return checked.data;
  throw new EdgewiseError('invalid_request', `${what} is not usable: ${checked.complaint}`);
}
