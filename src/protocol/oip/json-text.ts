/** Parses JSON bytes. Limits are checked before any object is created. */
import { EdgewiseError } from '../../errors.ts';
import { markBareNumbers, placeBareNumbers } from './bare-numbers.ts';
import { invalid } from './fail.ts';

export interface JsonLimits {
  /** Most bytes of JSON text. The parsed objects take several times as much memory. */
  readonly maxJsonBytes: number;
  /** Most levels of nested arrays and objects. Triton's limit is 100 as well. */
  readonly maxDepth: number;
  /** Most arrays and objects in total: `[],[],…` takes about twenty times its text in memory. */
  readonly maxContainers: number;
}

export const defaultJsonLimits: JsonLimits = {
  maxJsonBytes: Number.POSITIVE_INFINITY,
  maxDepth: 100,
  maxContainers: 2 ** 20,
};

export interface JsonText {
  /** Valid JSON: the text as sent, or with each bare NaN and Infinity replaced by a one-character string. */
  readonly text: string;
  /** The parsed value. A bare number is the string `NaN`, `Infinity` or `-Infinity`. */
  readonly value: unknown;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/**
 * Parses UTF-8 JSON. Also accepts bare NaN and Infinity in the data of FP32 and FP64 tensors.
 *
 * @param what Names the text in messages: `the body`.
 * @throws EdgewiseError `invalid_request` for text that is not UTF-8, not JSON, or nested too deep; `too_large` for too
 * many bytes, arrays or objects.
 */
export function parseJson(bytes: Uint8Array, what: string, limits: JsonLimits = defaultJsonLimits): JsonText {
  if (bytes.byteLength > limits.maxJsonBytes) {
    throw new EdgewiseError(
      'too_large',
      `${what} has ${bytes.byteLength} bytes of JSON; at most ${limits.maxJsonBytes} are accepted. Tensors can be sent in binary`,
    );
  }
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw invalid(`${what} is not UTF-8 text`);
  }
  // Most requests have few brackets, so their nesting cannot be deep. Counting brackets is much faster than a scan.
  if (hasMoreBracketsThan(text, limits.maxDepth)) checkStructure(bytes, what, limits);
  try {
    return { text, value: JSON.parse(text) };
  } catch (error) {
    return parseBareNumbers(text, what) ?? throwInvalidJson(what, error);
  }
}

/**
 * Parses text with bare NaN or Infinity; undefined if it has none.
 *
 * @throws EdgewiseError `invalid_request` if the text is otherwise invalid, or has a bare number outside tensor data.
 */
function parseBareNumbers(text: string, what: string): JsonText | undefined {
  const bare = markBareNumbers(text);
  if (bare === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(bare.text);
  } catch {
    throw invalid(`${what} is not valid JSON, even if NaN and Infinity are read as numbers`);
  }
  return { text: bare.text, value: placeBareNumbers(value, bare.marks, what) };
}

/** Reports whether the text has more than `limit` opening brackets and braces, including those in strings. */
function hasMoreBracketsThan(text: string, limit: number): boolean {
  let seen = 0;
  for (const bracket of ['[', '{']) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      if (++seen > limit) return true;
    }
  }
  return false;
}

/** Checks the depth and the number of arrays and objects, without parsing. */
function checkStructure(bytes: Uint8Array, what: string, limits: JsonLimits): void {
  const { length } = bytes;
  let depth = 0;
  let containers = 0;
  for (let at = 0; at < length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x5b) {
      if (byte === 0x22) at = endOfString(bytes, at);
    } else if (byte === 0x5b || byte === 0x7b) {
      containers++;
      if (++depth > limits.maxDepth) {
        throw invalid(`${what} is nested deeper than ${limits.maxDepth} levels`);
      }
    } else if (byte === 0x5d || byte === 0x7d) {
      depth--;
    }
  }
  if (containers > limits.maxContainers) {
    throw new EdgewiseError(
      'too_large',
      `${what} holds ${containers} arrays and objects; at most ${limits.maxContainers} are accepted. Send the data flat or in binary`,
    );
  }
}

/** Returns the index of the quote that closes the string opened at `start`; at least the length if it is not closed. */
function endOfString(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  while (at < bytes.length && bytes[at] !== 0x22) at += bytes[at] === 0x5c ? 2 : 1;
  return at;
}

/** Throws the error for invalid JSON. Takes only the position from V8's message, which quotes a part of the body. */
function throwInvalidJson(what: string, error: unknown): never {
  const position = error instanceof Error ? / at position (\d+)/.exec(error.message)?.[1] : undefined;
  throw invalid(`${what} is not valid JSON${position === undefined ? '' : ` (at character ${position})`}`);
}
