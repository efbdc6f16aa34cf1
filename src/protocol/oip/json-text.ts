/** Parses bytes into a JSON value, with limits checked before objects are built. */
import { EdgewiseError } from '../../errors.ts';
import { markBareNumbers, placeBareNumbers } from './bare-numbers.ts';
import { invalid } from './fail.ts';

export interface JsonLimits {
  /** Limit of the text. Objects made from JSON take several times its size. */
  readonly maxJsonBytes: number;
  /** Limit of nested arrays and objects. Triton's limit is 100 as well. */
  readonly maxDepth: number;
  /** Limit of all arrays and objects: `[],[],…` takes about twenty times its text in memory. */
  readonly maxContainers: number;
}

export const defaultJsonLimits: JsonLimits = {
  maxJsonBytes: Number.POSITIVE_INFINITY,
  maxDepth: 100,
  maxContainers: 2 ** 20,
};

export interface JsonText {
  /** Valid JSON: the request's own text, or the text with its bare numbers replaced. */
  readonly text: string;
  readonly value: unknown;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/**
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
  // Tensor data is mostly flat: with few brackets in all, nesting cannot be deep, and counting brackets is a memchr.
  if (moreOpeningsThan(text, limits.maxDepth)) checkNesting(bytes, what, limits);
  try {
    return { text, value: JSON.parse(text) };
  } catch (error) {
    return parseBareNumbers(text, what) ?? refuse(what, error);
  }
}

/** Parses text with bare NaN and infinities; undefined if it has none. @throws EdgewiseError `invalid_request` */
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
      `${what} holds ${containers} arrays and objects; at most ${limits.maxContainers} are accepted. Send the data flat or in binary`,
    );
  }
}

/** Returns the index of the quote that closes the string opened at `start`, or the end of the text. */
function endOfString(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  while (at < bytes.length && bytes[at] !== 0x22) at += bytes[at] === 0x5c ? 2 : 1;
  return at;
}

/** V8's message quotes a piece of the body, so only its position is used. */
function refuse(what: string, error: unknown): never {
  const position = error instanceof Error ? / at position (\d+)/.exec(error.message)?.[1] : undefined;
  throw invalid(`${what} is not valid JSON${position === undefined ? '' : ` (at character ${position})`}`);
}
