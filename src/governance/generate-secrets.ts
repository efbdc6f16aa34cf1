import { base64url } from 'jose';
import { generateSignerKey } from './log/note-keys.ts';
import { generateSigningKey } from './receipt/keys.ts';

/** The secrets of a deployment, by the names of their settings. */
export interface Secrets {
  readonly EDGEWISE_SIGNING_KEYS: string;
  readonly EDGEWISE_LOG_KEY: string;
  readonly EDGEWISE_RECORDS_KEYS: string;
}

const recordsKeyBytes = 32;

/**
 * Generates new secrets.
 *
 * @param log The permanent name of the log, which is on every receipt (C2SP tlog-checkpoint: a URL without its scheme).
 * @throws EdgewiseError `invalid_request` for an invalid name.
 */
export async function generateSecrets(log: string): Promise<Secrets> {
  return {
    EDGEWISE_SIGNING_KEYS: JSON.stringify({ keys: [await generateSigningKey()] }),
    EDGEWISE_LOG_KEY: await generateSignerKey(log),
    EDGEWISE_RECORDS_KEYS: base64url.encode(crypto.getRandomValues(new Uint8Array(recordsKeyBytes))),
  };
}
