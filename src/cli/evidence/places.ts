/** What is given to verify with: files, addresses, stdin. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import type { ReadFile } from '../../governance/log/tiles.ts';

const addressForm = /^https?:\/\//;

/** @throws EdgewiseError `invalid_request` where there is nothing at `place`, a file, an address or `-` for stdin. */
export async function bytesAt(place: string): Promise<Bytes> {
  const bytes = await tryBytesAt(place);
  if (bytes === undefined) throw new EdgewiseError('invalid_request', `there is nothing at ${place}`);
  return bytes;
}

export async function textAt(place: string): Promise<string> {
  return new TextDecoder().decode(await bytesAt(place));
}

/** The files of a log, in a folder or below an address. */
export function filesOf(log: string): ReadFile {
  const base = log.replace(/\/+$/, '');
  return (path) => tryBytesAt(addressForm.test(base) ? `${base}/${path}` : join(base, path));
}

async function tryBytesAt(place: string): Promise<Bytes | undefined> {
  if (addressForm.test(place)) return fetched(place);
  try {
    return new Uint8Array(place === '-' ? await buffer(process.stdin) : await readFile(place));
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new EdgewiseError('invalid_request', `${place} could not be read`, { cause });
  }
}

async function fetched(address: string): Promise<Bytes | undefined> {
  let answer: Response;
  try {
    answer = await fetch(address);
  } catch (cause) {
    throw new EdgewiseError('origin_unavailable', `${address} did not answer`, { cause });
  }
  if (answer.status === 404) return undefined;
  if (!answer.ok) throw new EdgewiseError('origin_unavailable', `${address} answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}
