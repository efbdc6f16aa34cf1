/**
 * What the public log holds of a receipt: 53 bytes, the data of one leaf.
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

/** By this hash the log knows a receipt. */
export function receiptHashOf(compactReceipt: string): Bytes | Promise<Bytes> {
  return sha256Of(utf8(compactReceipt));
}

export async function entryOf(compactReceipt: string, meterTag: Bytes, units: number): Promise<LogEntry> {
  return { receiptHash: await receiptHashOf(compactReceipt), meterTag, units };
}

/** @throws EdgewiseError `internal` where a part does not have its size. */
export function encodeEntry({ receiptHash, meterTag, units }: LogEntry): Bytes {
  const isWhole = Number.isInteger(units) && units >= 0 && units <= maxUnits;
  if (receiptHash.length !== tagAt - 1 || meterTag.length !== meterTagBytes || !isWhole) {
    throw new EdgewiseError(
      'internal',
      `log entry of a ${receiptHash.length}-byte hash, a ${meterTag.length}-byte tag and ${units} units is not usable, wanted 32 bytes, ${meterTagBytes} bytes and 0 to ${maxUnits}`,
    );
  }
  const entry = new Uint8Array(entryBytes);
  entry[0] = version;
  entry.set(receiptHash, 1);
  entry.set(meterTag, tagAt);
  new DataView(entry.buffer).setUint32(unitsAt, units);
  return entry;
}

/** @throws EdgewiseError `invalid_request` for what is not an entry of this version. */
export function decodeEntry(entry: Bytes): LogEntry {
  checkEntry(entry);
  return {
    receiptHash: hashInEntry(entry),
    meterTag: entry.slice(tagAt, unitsAt),
    units: new DataView(entry.buffer, entry.byteOffset, entry.byteLength).getUint32(unitsAt),
  };
}

/** The receipt's hash, of an entry that is one. */
export function hashInEntry(entry: Bytes): Bytes {
  return entry.slice(1, tagAt);
}

/** @throws EdgewiseError `invalid_request` */
export function checkEntry(entry: Uint8Array): void {
  if (entry.length !== entryBytes || entry[0] !== version) {
    throw new EdgewiseError(
      'invalid_request',
      `log entry of ${entry.length} bytes and version ${entry[0]} is not usable, wanted ${entryBytes} bytes of version ${version}`,
    );
  }
}
