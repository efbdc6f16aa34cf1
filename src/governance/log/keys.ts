/** Reads the log's keys from the configuration. */
import { EdgewiseError } from '../../errors.ts';
import type { NoteSigner, NoteVerifier } from './note.ts';
import { parseSignerKey, parseVerifierKey } from './note-keys.ts';

export interface LogKeys {
  readonly signer: NoteSigner;
  readonly witnesses: readonly NoteVerifier[];
}

export interface LogKeyTexts {
  /** `EDGEWISE_LOG_KEY`: `PRIVATE+KEY+<name>+<key id>+<base64>`. */
  readonly logKey: string | undefined;
  /** `EDGEWISE_WITNESSES`: verifier keys, separated by commas or spaces. */
  readonly witnesses: string | undefined;
}

/** @throws EdgewiseError `internal` if the log's key is missing or a key is malformed. Names the setting, not the value. */
export async function readLogKeys({ logKey, witnesses = '' }: LogKeyTexts): Promise<LogKeys> {
  if (logKey === undefined || logKey.trim() === '') {
    throw new EdgewiseError(
      'internal',
      'configuration EDGEWISE_LOG_KEY is not set: without it the log can sign no checkpoint and takes no entries',
    );
  }
  const keys = witnesses.split(/[\s,]+/).filter((text) => text !== '');
  return {
    signer: await readKey('EDGEWISE_LOG_KEY', () => parseSignerKey(logKey.trim())),
    witnesses: await readKey('EDGEWISE_WITNESSES', () => Promise.all(keys.map(parseVerifierKey))),
  };
}

async function readKey<T>(setting: string, parse: () => Promise<T>): Promise<T> {
  try {
    return await parse();
  } catch (error) {
    const reason = error instanceof EdgewiseError ? `: ${error.message}` : '';
    throw new EdgewiseError('internal', `configuration ${setting} is not usable${reason}`);
  }
}
