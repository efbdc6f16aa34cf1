/**
 * `NaN`, `Infinity` and `-Infinity` as bare words, which JSON does not have and Python's encoder writes. Triton takes them,
 * so they are taken in the data of FP32 and FP64 tensors, and nowhere else.
 *
 * Asked only for text that is not JSON: each bare word becomes a string of one character that the text holds nowhere, so
 * that what it stood for is known after parsing wherever it stood, and the text gets no longer.
 */
import { invalid, quote } from './fail.ts';
import { isObject } from './json-object.ts';

export interface BareText {
  /** Valid JSON but for what else is wrong with it. */
  readonly text: string;
  /** One-character strings → what they stand for, as a tensor's data writes it. */
  readonly marks: ReadonlyMap<unknown, string>;
}

/** Where a value may stand; before a colon it would be a key. */
const bareWord = /-?(?:NaN|Inf(?:inity)?)(?=\s*(?:[,\]}]|$))/y;
/** Control characters that JSON text may hold and nobody writes. */
const markCharacters = ['\u0080', '\u0081', '\u0082'] as const;
const anyMark = /[\u0080-\u0082]|\\u008[0-2]/;

/** The text with marks for its bare words; undefined where it has none, or holds the marks itself. */
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

const quoteMark = 0x22;
const backslash = 0x5c;
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

function afterString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== quoteMark)
    at += text.charCodeAt(at) === backslash ? 2 : 1;
  return at + 1;
}

/** Where tensors stand in a message. */
const tensorLists: ReadonlySet<string> = new Set(['inputs', 'outputs']);
const floats: ReadonlySet<unknown> = new Set(['FP32', 'FP64']);

/**
 * Puts the numbers in the place of their marks.
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

/** The value with `replace` called for each mark in it. Lists are changed in place: they may be most of the memory. */
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
