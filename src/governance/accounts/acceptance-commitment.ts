/**
 * The name of the person who accepted a licence, as a commitment in the log's receipt: a hash over the name and a salt. Only
 * the tenant's record holds the salt. With the record, the receipt can be shown to be about that name; once the record is
 * erased, it cannot be traced to a name.
 */
import { base64url } from 'jose';
import { joinBytes, utf8 } from '../../bytes.ts';

const saltBytes = 32;

/** Returns a random salt: 43 characters of base64url. */
export function newAcceptanceSalt(): string {
  return base64url.encode(crypto.getRandomValues(new Uint8Array(saltBytes)));
}

/** Returns the commitment: SHA-256 over the salt's bytes and the name in UTF-8, as base64url. */
export async function commitToAcceptor(salt: string, by: string): Promise<string> {
  const message = joinBytes([base64url.decode(salt), utf8(by)]);
  return base64url.encode(new Uint8Array(await crypto.subtle.digest('SHA-256', message)));
}
