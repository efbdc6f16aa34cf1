/**
 * Log entries: 53 bytes for each receipt, the data of one leaf.
 *
 * ```text
 * version       1 byte    0x01
 * receipt hash  32 bytes  SHA-256 of the compact JWS, as ASCII
 * meter tag     16 bytes
 * units         4 bytes   big-endian
 * ```
 */
import { type Bytes, utf8 } from '../../bytes.ts';
import { EdgewiseError } from '../../errors.ts';
import { sha256Of } from '../sha256.ts';
import type { LogEntry } from './types.ts';

export const entryBytes = 53;
export const meterTagBytes = 16;

const version = 1;
const tagAt = 33;
const unitsAt = 49;
const maxUnits = 2 ** 32 - 1;

/** Returns the hash by which the log identifies a receipt. */
export function receiptHashOf(compactReceipt: string): Bytes | Promise<Bytes> {
  return sha256Of(utf8(compactReceipt));
}

export async function entryOf(compactReceipt: string, meterTag: Bytes, units: number): Promise<LogEntry> {
  return { receiptHash: await receiptHashOf(compactReceipt), meterTag, units };
}

/** @throws EdgewiseError `internal` if a part does not have its size. */
export function encodeEntry({ receiptHash, meterTag, units }: LogEntry): Bytes {
  const isWhole = Number.isInteger(units) && units >= 0 && units <= maxUnits;
  if (receiptHash.length !== tagAt - 1 || meterTag.length !== meterTagBytes || !isWhole) {
    throw new EdgewiseError(
      'internal',
      `the log entry has a hash of ${receiptHash.length} bytes, a meter tag of ${meterTag.length} bytes and ${units} units; expected 32 bytes, ${meterTagBytes} bytes and 0 to ${maxUnits} units`,
    );
  }
  const entry = new Uint8Array(entryBytes);
  entry[0] = version;
  entry.set(receiptHash, 1);
  entry.set(meterTag, tagAt);
  new DataView(entry.buffer).setUint32(unitsAt, units);
  return entry;
}

/** @throws EdgewiseError `invalid_request` if the bytes are not an entry of this version. */
export function decodeEntry(entry: Bytes): LogEntry {
  checkEntry(entry);
  return {
    receiptHash: hashInEntry(entry),
    meterTag: entry.slice(tagAt, unitsAt),
    units: new DataView(entry.buffer, entry.byteOffset, entry.byteLength).getUint32(unitsAt),
  };
}

/** Returns the receipt's hash. The entry is not checked. */
export function hashInEntry(entry: Bytes): Bytes {
  return entry.slice(1, tagAt);
}

/** @throws EdgewiseError `invalid_request` */
export function checkEntry(entry: Uint8Array): void {
  if (entry.length !== entryBytes || entry[0] !== version) {
    throw new EdgewiseError(
      'invalid_request',
      `the log entry has ${entry.length} bytes and version ${entry[0]}; expected ${entryBytes} bytes and version ${version}`,
    );
  }
}
