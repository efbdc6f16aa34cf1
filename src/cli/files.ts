/** Files that the user names: read, written once, parsed as JSON. */
import { readFile, writeFile } from 'node:fs/promises';
import type { Bytes } from '../bytes.ts';
import { EdgewiseError } from '../errors.ts';

/**
 * @param expected Says what the file should be; the end of the message.
 * @throws EdgewiseError `invalid_request` if the file cannot be read.
 */
export async function readBytesFile(file: string, expected?: string): Promise<Bytes> {
  try {
    return new Uint8Array(await readFile(file));
  } catch (cause) {
    throw unreadableFile(file, cause, expected);
  }
}

export async function readTextFile(file: string, expected?: string): Promise<string> {
  return new TextDecoder().decode(await readBytesFile(file, expected));
}

export function unreadableFile(file: string, cause: unknown, expected?: string): EdgewiseError {
  const reason = errorCode(cause) ?? cause;
  const message = `${file} cannot be read (${reason})${expected === undefined ? '' : `: ${expected}`}`;
  return new EdgewiseError('invalid_request', message, { cause });
}

/** The code of an error of the file system, such as `ENOENT`. */
export function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** @param what Names the text in messages. @throws EdgewiseError `invalid_request` */
export function parseJsonText(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : cause;
    throw new EdgewiseError('invalid_request', `${what} is not JSON: ${reason}`, { cause });
  }
}

/**
 * Writes a file that must not exist yet.
 *
 * @param next Says what to do if the file exists; the end of the message.
 * @throws EdgewiseError `conflict` if the file exists.
 */
export async function writeNewFile(
  file: string,
  text: string,
  { next, mode }: { readonly next: string; readonly mode?: number },
): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx', ...(mode !== undefined && { mode }) });
  } catch (cause) {
    if (errorCode(cause) !== 'EEXIST') throw cause;
    throw new EdgewiseError('conflict', `${file} exists already and is not overwritten: ${next}`, { cause });
  }
}
