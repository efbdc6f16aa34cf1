import { base64url } from 'jose';
import { generateSignerKey } from './log/note-keys.ts';
import { generateSigningKey } from './receipt/keys.ts';

/** What a deployment must keep to itself, by the names of its settings. */
export interface Secrets {
  readonly EDGEWISE_SIGNING_KEYS: string;
  readonly EDGEWISE_LOG_KEY: string;
  readonly EDGEWISE_RECORDS_KEYS: string;
}

const recordsKeyBytes = 32;

/**
 * New ones.
 *
 * @param log The log's name, for good: it is on every receipt (C2SP tlog-checkpoint wants an address without its scheme).
 * @throws EdgewiseError `invalid_request` for a name that no log may have.
 */
export async function generateSecrets(log: string): Promise<Secrets> {
  return {
    EDGEWISE_SIGNING_KEYS: JSON.stringify({ keys: [await generateSigningKey()] }),
    EDGEWISE_LOG_KEY: await generateSignerKey(log),
    EDGEWISE_RECORDS_KEYS: base64url.encode(crypto.getRandomValues(new Uint8Array(recordsKeyBytes))),
  };
}
