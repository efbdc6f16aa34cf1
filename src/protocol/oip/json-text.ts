/** From bytes to a JSON value, bounded before anything is built from them. */
import { EdgewiseError } from '../../errors.ts';
import { markBareNumbers, placeBareNumbers } from './bare-numbers.ts';
import { invalid } from './fail.ts';

export interface JsonLimits {
  /** Of the text. Objects made from JSON take several times its size. */
  readonly maxJsonBytes: number;
  /** Arrays and objects inside one another. Triton's limit is 100 as well. */
  readonly maxDepth: number;
  /** Arrays and objects in all: `[],[],…` takes some twenty times its text in memory. */
  readonly maxContainers: number;
}

export const defaultJsonLimits: JsonLimits = {
  maxJsonBytes: Number.POSITIVE_INFINITY,
  maxDepth: 100,
  maxContainers: 2 ** 20,
};

export interface JsonText {
  /** Valid JSON; as it came unless that was none. */
  readonly text: string;
  readonly value: unknown;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/**
 * @throws EdgewiseError `invalid_request` for text that is not UTF-8, not JSON, or nested too deep; `too_large` for too
 * many bytes, or arrays and objects.
 */
export function parseJson(bytes: Uint8Array, what: string, limits: JsonLimits = defaultJsonLimits): JsonText {
  if (bytes.byteLength > limits.maxJsonBytes) {
    throw new EdgewiseError(
      'too_large',
      `${what} has ${bytes.byteLength} bytes of JSON, at most ${limits.maxJsonBytes} are accepted; tensors can be sent in binary`,
    );
  }
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw invalid(`${what} is not UTF-8 text`);
  }
  // Tensor data is mostly flat: few brackets in all means that they cannot be nested deep, and finding them is a memchr.
  if (moreOpeningsThan(text, limits.maxDepth)) checkNesting(bytes, what, limits);
  try {
    return { text, value: JSON.parse(text) };
  } catch (error) {
    return parseBareNumbers(text, what) ?? refuse(what, error);
  }
}

/** Text that is JSON but for bare NaN and infinities; undefined for any other. @throws EdgewiseError `invalid_request` */
function parseBareNumbers(text: string, what: string): JsonText | undefined {
  const bare = markBareNumbers(text);
  if (bare === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(bare.text);
  } catch {
    throw invalid(`${what} is not valid JSON, also where NaN and Infinity are taken for numbers`);
  }
  return { text: bare.text, value: placeBareNumbers(value, bare.marks, what) };
}

function moreOpeningsThan(text: string, limit: number): boolean {
  let seen = 0;
  for (const bracket of ['[', '{']) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      if (++seen > limit) return true;
    }
  }
  return false;
}

function checkNesting(bytes: Uint8Array, what: string, limits: JsonLimits): void {
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
      `${what} holds ${containers} arrays and objects, at most ${limits.maxContainers} are accepted; send the data flat or in binary`,
    );
  }
}

/** Index of the quote that closes the string opened at `start`, or the end of the text. */
function endOfString(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  while (at < bytes.length && bytes[at] !== 0x22) at += bytes[at] === 0x5c ? 2 : 1;
  return at;
}

/** V8's own message repeats a piece of the body, so only the position is taken from it. */
function refuse(what: string, error: unknown): never {
  const position = error instanceof Error ? / at position (\d+)/.exec(error.message)?.[1] : undefined;
  throw invalid(`${what} is not valid JSON${position === undefined ? '' : ` (at character ${position})`}`);
}
