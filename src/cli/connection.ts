/** The server that commands talk to, and the admin key that they send. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EdgewiseError } from '../errors.ts';

export const defaultUrl = 'http://localhost:8787';
const keyFile = join('.edgewise', 'admin-key');

export interface Connection {
  readonly url: string;
  readonly adminKey: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Returns the server's URL (`url`, else EDGEWISE_URL, else localhost) and the admin key.
 *
 * @throws EdgewiseError `unauthenticated` if there is no key.
 */
export function findConnection(
  url: string | undefined,
  environment: Environment,
  folder: string,
): Connection {
  const adminKey = findAdminKey(environment, folder);
  if (adminKey === undefined) {
    throw new EdgewiseError(
      'unauthenticated',
      `there is no admin key: set EDGEWISE_ADMIN_KEY, or put it into ${keyFile}`,
    );
  }
  return { url: url ?? environment['EDGEWISE_URL'] ?? defaultUrl, adminKey };
}

/**
 * Returns EDGEWISE_ADMIN_KEY, or the text of `.edgewise/admin-key` in `folder` if it is not set; undefined if there is neither,
 * or the one that counts is empty.
 */
export function findAdminKey(environment: Environment, folder: string): string | undefined {
  const key = environment['EDGEWISE_ADMIN_KEY'] ?? readStoredKey(folder);
  return key === '' ? undefined : key;
}

function readStoredKey(folder: string): string | undefined {
  try {
    return readFileSync(join(folder, keyFile), 'utf8').trim();
  } catch {
    return undefined;
  }
}
