/**
 * Policy packs: rules of law as dated data. A pack is signed by whoever this server takes rules from, and its digest stands
 * on every receipt, so that it can be shown later which rules were applied. Stricter law is another pack, not another
 * release; what it would refuse can be asked before it applies.
 */
import canonicalize from 'canonicalize';
import { CompactSign, type CryptoKey, compactVerify } from 'jose';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { digestOf } from '../../storage/digest.ts';
import type { ServerSigningKey, VerifyingKeys } from '../receipt/keys.ts';
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

/** @throws EdgewiseError `invalid_request` naming the field of `pack` that is not as wanted. */
export async function signPack(pack: unknown, { kid, key }: ServerSigningKey): Promise<string> {
  const text = canonicalize(parsePack(pack, 'the policy pack'));
  if (text === undefined) throw new EdgewiseError('internal', 'the policy pack has no JSON form');
  return new CompactSign(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: 'EdDSA', kid, typ: packType })
    .sign(key);
}

/**
 * @param what For messages: `policy pack 2`.
 * @throws EdgewiseError `signature_invalid` where no key of `keys` signed it; `invalid_request` where it is no pack.
 */
export async function openPack(compact: string, keys: VerifyingKeys, what: string): Promise<SignedPack> {
  let verified: Awaited<ReturnType<typeof compactVerify>>;
  try {
    verified = await compactVerify(compact, ({ kid }) => keyOf(keys, kid), { algorithms: ['EdDSA'] });
  } catch (cause) {
    throw new EdgewiseError('signature_invalid', `${what} is signed by no key that packs are taken from`, {
      cause,
    });
  }
  const { payload, protectedHeader } = verified;
  if (protectedHeader.typ !== packType || protectedHeader.kid === undefined) {
    throw new EdgewiseError(
      'signature_invalid',
      `${what} is signed as something else, wanted typ ${packType}`,
    );
  }
  const bytes = new Uint8Array(payload);
  const { id, version, title, rules } = parsePack(jsonOf(bytes, what), what);
  return { id, version, title, rules, digest: await digestOf(bytes), kid: protectedHeader.kid };
}

/**
 * All packs that are configured. One that cannot be verified fails the start: rules that nobody looks at bind nobody.
 *
 * @throws EdgewiseError as `openPack`; `invalid_request` where two have the same id.
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
      `policy pack ${twice.id} is configured twice, wanted one version of it`,
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

function keyOf(keys: VerifyingKeys, kid: string | undefined): CryptoKey {
  const key = kid === undefined ? undefined : keys.get(kid);
  if (key === undefined)
    throw new EdgewiseError('signature_invalid', 'the key is not among those configured');
  return key;
}

function jsonOf(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new EdgewiseError('invalid_request', `${what} is no JSON`, { cause });
  }
}
