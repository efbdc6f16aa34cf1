/** Reads evidence from a file, an address or stdin (`-`). */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Bytes } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import type { ReadFile } from '../../governance/log/tiles.ts';
import { errorCode, parseJsonText, unreadableFile } from '../files.ts';

const addressForm = /^https?:\/\//;

/**
 * Reads the bytes at a place.
 *
 * @param place A file, an address, or `-` for stdin.
 * @param key Sent to an address as a bearer token.
 * @throws EdgewiseError `invalid_request` if there is nothing at `place` or its file cannot be read;
 * `origin_unavailable` if the server fails.
 */
export async function bytesAt(place: string, key?: string): Promise<Bytes> {
  const bytes = await tryBytesAt(place, key);
  if (bytes === undefined) throw new EdgewiseError('invalid_request', `there is nothing at ${place}`);
  return bytes;
}

export async function textAt(place: string, key?: string): Promise<string> {
  return new TextDecoder().decode(await bytesAt(place, key));
}

/** @throws EdgewiseError `invalid_request` also if the text is not JSON. */
export async function jsonAt(place: string): Promise<unknown> {
  return parseJsonText(await textAt(place), place);
}

/** Returns a reader of the log's files, in a folder or below an address. */
export function filesOf(log: string): ReadFile {
  const base = log.replace(/\/+$/, '');
  return (path) => tryBytesAt(addressForm.test(base) ? `${base}/${path}` : join(base, path));
}

/** As `bytesAt`; undefined if there is nothing at `place`. */
export async function tryBytesAt(place: string, key?: string): Promise<Bytes | undefined> {
  if (addressForm.test(place)) return fetchBytes(place, key);
  try {
    return new Uint8Array(place === '-' ? await buffer(process.stdin) : await readFile(place));
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return undefined;
    throw unreadableFile(place, cause);
  }
}

async function fetchBytes(address: string, key: string | undefined): Promise<Bytes | undefined> {
  let answer: Response;
  try {
    answer = await fetch(address, key === undefined ? {} : { headers: { Authorization: `Bearer ${key}` } });
  } catch (cause) {
    throw new EdgewiseError('origin_unavailable', `${address} did not answer`, { cause });
  }
  if (answer.status === 404) return undefined;
  if (!answer.ok) throw new EdgewiseError('origin_unavailable', `${address} answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}
