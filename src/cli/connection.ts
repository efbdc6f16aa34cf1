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
  const { EDGEWISE_URL } = environment;
  const adminKey = adminKeyOf(environment, folder);
  if (adminKey === undefined) {
    throw new EdgewiseError(
      'unauthenticated',
      `there is no admin key: set EDGEWISE_ADMIN_KEY, or put it into ${keyFile}`,
    );
  }
  return { url: url ?? EDGEWISE_URL ?? defaultUrl, adminKey };
}

/** EDGEWISE_ADMIN_KEY, else this folder's `.edgewise/admin-key`; undefined where there is neither. */
export function adminKeyOf({ EDGEWISE_ADMIN_KEY }: Environment, folder: string): string | undefined {
  const key = EDGEWISE_ADMIN_KEY ?? storedKey(folder);
  return key === '' ? undefined : key;
}

function storedKey(folder: string): string | undefined {
  try {
    return readFileSync(join(folder, keyFile), 'utf8').trim();
  } catch {
    return undefined;
  }
}
