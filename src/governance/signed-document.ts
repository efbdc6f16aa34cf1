/** Signed documents: canonical JSON (RFC 8785) as a compact JWS (RFC 7515) with Ed25519. The header's `typ` names the type. */
import { CompactSign, compactVerify } from 'jose';
import { type Bytes, utf8 } from '../bytes.ts';
import { EdgewiseError } from '../errors.ts';
import { canonicalJson } from './canonical-json.ts';
import type { ServerSigningKey, VerifyingKeys } from './receipt/keys.ts';

/** Signs a document and returns the compact JWS. */
export function signDocument(
  document: unknown,
  typ: string,
  { kid, key }: ServerSigningKey,
): Promise<string> {
  return new CompactSign(utf8(canonicalJson(document)))
    .setProtectedHeader({ alg: 'EdDSA', kid, typ })
    .sign(key);
}

/**
 * Verifies a signed document and returns its payload.
 *
 * @param what Names the document in messages.
 * @throws EdgewiseError `signature_invalid` if no key of `keys` signed it, or it is of another type.
 */
export async function verifyDocument(
  compact: string,
  typ: string,
  keys: VerifyingKeys,
  what: string,
): Promise<{ readonly payload: Bytes; readonly kid: string }> {
  const { payload, protectedHeader } = await compactVerify(
    compact,
    ({ kid = '' }) => {
      const key = keys.get(kid);
      if (key === undefined) throw new EdgewiseError('signature_invalid', `the key ${kid} is not known`);
      return key;
    },
    { algorithms: ['EdDSA'] },
  ).catch((cause: unknown) => {
    throw new EdgewiseError('signature_invalid', `${what} is not signed by any of the trusted keys`, {
      cause,
    });
  });
  const { kid } = protectedHeader;
  if (protectedHeader.typ !== typ || kid === undefined) {
    throw new EdgewiseError(
      'signature_invalid',
      `${what} is signed as another type of document; expected typ ${typ}`,
    );
  }
  return { payload: new Uint8Array(payload), kid };
}

/** Parses the payload of a document. @throws EdgewiseError `invalid_request` unless it is JSON in UTF-8 */
export function parsePayload(payload: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload));
  } catch (cause) {
    throw new EdgewiseError('invalid_request', `${what} is not valid JSON`, { cause });
  }
}
