/**
 * `NaN`, `Infinity` and `-Infinity` as bare words, which are not JSON but which Python's encoder writes. Triton accepts
 * them, so they are accepted in the data of FP32 and FP64 tensors, and nowhere else.
 *
 * Used only for text that is not valid JSON: each bare word is replaced by a one-character string that does not occur in
 * the text, so that it can be recognised after parsing, and the text does not grow.
 */
import { invalid, quote } from './fail.ts';
import { isObject } from './json-object.ts';
import { afterString, quoteMark } from './json-string.ts';

export interface BareText {
  /** The text without bare words; it may still be invalid JSON for other reasons. */
  readonly text: string;
  /** One-character strings → the numbers they replace, as a tensor's data writes them. */
  readonly marks: ReadonlyMap<unknown, string>;
}

/** A bare word in the place of a value; before a colon it would be a key. */
const bareWord = /-?(?:NaN|Inf(?:inity)?)(?=\s*(?:[,\]}]|$))/y;
/** Control characters that JSON allows and encoders do not write. */
const markCharacters = ['\u0080', '\u0081', '\u0082'] as const;
const anyMark = /[\u0080-\u0082]|\\u008[0-2]/;

/** Replaces the bare words of the text with marks; undefined if it has none, or contains the marks itself. */
export function markBareNumbers(text: string): BareText | undefined {
  if (anyMark.test(text)) return undefined;
  const parts: string[] = [];
  let copied = 0;
  for (let at = 0; at < text.length; ) {
    const code = text.charCodeAt(at);
    if (code === quoteMark) {
      at = afterString(text, at);
      continue;
    }
    const word = code === minus || code === upperN || code === upperI ? bareWordAt(text, at) : undefined;
    if (word === undefined) {
      at += 1;
      continue;
    }
    parts.push(text.slice(copied, at), `"${markOf(word)}"`);
    at += word.length;
    copied = at;
  }
  if (parts.length === 0) return undefined;
  parts.push(text.slice(copied));
  const [nan, positive, negative] = markCharacters;
  const marks = new Map([
    [nan, 'NaN'],
    [positive, 'Infinity'],
    [negative, '-Infinity'],
  ]);
  return { text: parts.join(''), marks };
}

const minus = 0x2d;
const upperN = 0x4e;
const upperI = 0x49;

function bareWordAt(text: string, at: number): string | undefined {
  bareWord.lastIndex = at;
  return bareWord.exec(text)?.[0];
}

function markOf(word: string): string {
  const [nan, positive, negative] = markCharacters;
  if (word.endsWith('NaN')) return nan;
  return word.startsWith('-') ? negative : positive;
}

/** The members of a message that hold tensors. */
const tensorLists: ReadonlySet<string> = new Set(['inputs', 'outputs']);
const floats: ReadonlySet<unknown> = new Set(['FP32', 'FP64']);

/**
 * Replaces the marks with their numbers.
 *
 * @throws EdgewiseError `invalid_request` for a bare number outside the data of an FP32 or FP64 tensor.
 */
export function placeBareNumbers(root: unknown, marks: BareText['marks'], what: string): unknown {
  const refuse = (value: unknown, place: string): unknown =>
    replaceMarks(value, marks, (number) => {
      throw invalid(
        `${what} holds ${number} ${place}; it may stand only in the data of FP32 and FP64 tensors, as NaN or "NaN"`,
      );
    });
  const inTensor = (entry: unknown): unknown => {
    if (!isObject(entry)) return refuse(entry, 'outside a tensor');
    const { data, ...rest } = entry;
    refuse(rest, 'outside the data of a tensor');
    if (data === undefined) return entry;
    if (floats.has(entry['datatype']))
      return { ...rest, data: replaceMarks(data, marks, (number) => number) };
    refuse(data, `in the data of ${quote(String(entry['name']))}`);
    return entry;
  };
  if (!isObject(root)) return refuse(root, 'outside a tensor');
  return Object.fromEntries(
    Object.entries(root).map(([key, value]) =>
      tensorLists.has(key) && Array.isArray(value)
        ? [key, value.map(inTensor)]
        : [key, refuse(value, `in ${quote(key)}`)],
    ),
  );
}

/** Returns the value with `replace` applied to each mark in it. Lists are changed in place, because they may be large. */
function replaceMarks(
  value: unknown,
  marks: BareText['marks'],
  replace: (number: string) => string,
): unknown {
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1)
      value[index] = replaceMarks(value[index], marks, replace);
    return value;
  }
  if (isObject(value)) {
    for (const entry of Object.values(value)) replaceMarks(entry, marks, replace);
    return value;
  }
  const number = marks.get(value);
  return number === undefined ? value : replace(number);
}
