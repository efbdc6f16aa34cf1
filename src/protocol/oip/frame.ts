/** The frame of the binary tensor extension: JSON first, then the blocks of the binary tensors in order. */
import { invalid } from './fail.ts';
import { headerLengthName } from './types.ts';

/** The bytes of the binary blocks, which are taken in order. */
export interface Blocks {
  readonly bytes: Uint8Array;
  taken: number;
}

export interface Frame {
  readonly json: Uint8Array;
  readonly blocks: Blocks;
}

const noBytes = new Uint8Array(0);

/**
 * Splits `body` after `headerLength` bytes, the raw header value; without the header all of the body is JSON.
 *
 * @throws EdgewiseError `invalid_request` for a header that is not a number or exceeds the body.
 */
export function splitFrame(body: Uint8Array, headerLength: string | undefined): Frame {
  if (headerLength === undefined) return { json: body, blocks: { bytes: noBytes, taken: 0 } };
  const length = /^\d{1,15}$/.test(headerLength) ? Number(headerLength) : Number.NaN;
  if (!(length <= body.byteLength)) {
    throw invalid(
      `${headerLengthName} is ${JSON.stringify(headerLength.slice(0, 40))}; expected a whole number from 0 to the body's ${body.byteLength} bytes`,
    );
  }
  return { json: body.subarray(0, length), blocks: { bytes: body.subarray(length), taken: 0 } };
}

/**
 * Returns the next `size` bytes, as a view.
 *
 * @throws EdgewiseError `invalid_request` if fewer are left.
 */
export function takeBlock(blocks: Blocks, size: number, what: string): Uint8Array {
  const left = blocks.bytes.byteLength - blocks.taken;
  if (size > left) {
    throw invalid(
      `binary_data_size of ${what} is ${size}; only ${left} bytes are left after the JSON part and earlier tensors (is ${headerLengthName} right?)`,
    );
  }
  const start = blocks.taken;
  blocks.taken += size;
  return blocks.bytes.subarray(start, blocks.taken);
}

/** @throws EdgewiseError `invalid_request` if bytes are left over. */
export function checkAllTaken({ bytes, taken }: Blocks): void {
  if (taken !== bytes.byteLength) {
    throw invalid(
      `${bytes.byteLength - taken} bytes are left over after the last binary tensor (is ${headerLengthName} right? It counts the bytes of JSON in this request)`,
    );
  }
}
