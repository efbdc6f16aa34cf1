/**
 * Folder names for state keys in the fs driver. Each key is one path segment, so that no key can escape the root, be hidden,
 * or be the parent of another key. No two keys share a folder on a file system that ignores case.
 *
 *     percent-encoded key in lower case [ "~" case marks ]
 *
 * The case marks are hex digits, one bit for each letter of the key in order, set for an upper-case letter; zeros at the
 * end are left out. A key without upper-case letters has none.
 */
import { EdgewiseError } from '../errors.ts';

const maxSegmentLength = 255;

/** Returns the folder name of a key. @throws EdgewiseError `invalid_request` for a key that is empty or too long. */
export function segmentOf(key: string): string {
  const segment = encode(key);
  if (!isUsable(segment)) {
    throw new EdgewiseError(
      'invalid_request',
      `state key of ${key.length} characters is empty or too long; expected 1 to ${maxSegmentLength} bytes in percent-encoding`,
    );
  }
  return segment;
}

/** Returns the key of a folder; undefined for a name that `segmentOf` never returns. */
export function keyOfSegment(segment: string): string | undefined {
  const [, encoded = '', marks = ''] = /^([^~]+)(?:~([0-9a-f]+))?$/.exec(segment) ?? [];
  const lower = decode(encoded);
  const key = lower && withCase(lower, marks);
  return key && encode(key) === segment ? key : undefined;
}

/** Returns the key of a folder named by an older release, which kept upper-case letters; undefined for any other name. */
export function keyOfOldSegment(segment: string): string | undefined {
  if (keyOfSegment(segment) !== undefined) return undefined;
  const key = decode(segment);
  if (key === undefined || escapeDot(encodeURIComponent(key)) !== segment) return undefined;
  return isUsable(encode(key)) ? key : undefined;
}

function encode(key: string): string {
  const marks = caseMarksOf(key);
  const encoded = escapeDot(encodeURIComponent(lowerCase(key)).replaceAll('~', '%7E'));
  return marks === '' ? encoded : `${encoded}~${marks}`;
}

function isUsable(segment: string): boolean {
  return segment.length > 0 && segment.length <= maxSegmentLength;
}

function escapeDot(encoded: string): string {
  return encoded.replace(/^\./, '%2E');
}

function lowerCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function caseMarksOf(key: string): string {
  const bits = (key.match(/[A-Za-z]/g) ?? []).map((letter) => (letter < 'a' ? '1' : '0')).join('');
  const digits = (bits.match(/.{1,4}/g) ?? []).map((four) => Number.parseInt(four.padEnd(4, '0'), 2));
  return digits
    .map((digit) => digit.toString(16))
    .join('')
    .replace(/0+$/, '');
}

function withCase(lower: string, marks: string): string {
  let letters = 0;
  return lower.replace(/[a-z]/g, (letter) => {
    const digit = Number.parseInt(marks[letters >> 2] ?? '0', 16);
    const isUpper = ((digit >> (3 - (letters & 3))) & 1) === 1;
    letters += 1;
    return isUpper ? letter.toUpperCase() : letter;
  });
}

function decode(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}
