/**
 * Who accepted, as the log's receipt says it: a hash over the name and a salt that stands in the tenant's record alone. Who
 * has the record can show that the receipt is about that name; once the record is erased, nobody can tell any more.
 */
import { base64url } from 'jose';

const saltBytes = 32;

/** 43 characters of base64url. */
export function newAcceptanceSalt(): string {
  return base64url.encode(crypto.getRandomValues(new Uint8Array(saltBytes)));
}

/** SHA-256 over the salt's bytes and the name in UTF-8, as base64url. */
export async function acceptanceCommitment(salt: string, by: string): Promise<string> {
  const name = new TextEncoder().encode(by);
  const message = new Uint8Array(saltBytes + name.byteLength);
  message.set(base64url.decode(salt));
  message.set(name, saltBytes);
  return base64url.encode(new Uint8Array(await crypto.subtle.digest('SHA-256', message)));
}
