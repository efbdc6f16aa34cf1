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
 * Where to and with which key: EDGEWISE_URL and EDGEWISE_ADMIN_KEY, else this folder's `.edgewise/admin-key`.
 *
 * @throws EdgewiseError `unauthenticated` when there is no key.
 */
export function connection(url: string | undefined, environment: Environment, folder: string): Connection {
  const { EDGEWISE_URL, EDGEWISE_ADMIN_KEY } = environment;
  const adminKey = EDGEWISE_ADMIN_KEY ?? storedKey(folder);
  if (adminKey === undefined || adminKey === '') {
    throw new EdgewiseError(
      'unauthenticated',
      `there is no admin key: set EDGEWISE_ADMIN_KEY, or put it into ${keyFile}`,
    );
  }
  return { url: url ?? EDGEWISE_URL ?? defaultUrl, adminKey };
}

function storedKey(folder: string): string | undefined {
  try {
    return readFileSync(join(folder, keyFile), 'utf8').trim();
  } catch {
    return undefined;
  }
}
