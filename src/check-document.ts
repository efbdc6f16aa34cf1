/** Checks a document against its schema and describes problems in our own words, never in zod's. */
import type { z } from 'zod';
import { nearestName } from './near-name.ts';

export interface Problem {
  readonly path: readonly PropertyKey[];
  /** The expectation alone, without path and value. */
  readonly expected: string;
  /** The whole complaint: path, value, expectation. */
  readonly text: string;
}

export type CheckedDocument<T> =
  | { readonly success: true; readonly data: T }
  | {
      readonly success: false;
      /** Unknown keys first, since a misspelt key is also reported as missing. */
      readonly problems: readonly Problem[];
      /** The first problems, as one line. */
      readonly complaint: string;
    };

export interface CheckOptions {
  /** True if complaints may quote strings of the document. Default true; false for secrets and callers' bodies. */
  readonly quoteText?: boolean;
  /** How many problems the complaint lists. Default 3. */
  readonly maxListed?: number;
  /** Name of the whole document in complaints. Default "the document". */
  readonly whole?: string;
}

/** Returns the parsed document, or all of its problems. */
export function checkDocument<S extends z.ZodType>(
  schema: S,
  document: unknown,
  options: CheckOptions = {},
): CheckedDocument<z.output<S>> {
  const parsed = schema.safeParse(document, { error: describeExpectation, reportInput: true });
  if (parsed.success) return parsed;
  const { quoteText = true, maxListed = 3, whole = 'the document' } = options;
  const issues = parsed.error.issues.map((issue) => findInnermost(issue, []));
  const unknownFirst = [...issues.filter(isUnknownKey), ...issues.filter((issue) => !isUnknownKey(issue))];
  const problems = unknownFirst.map((issue) => toProblem(issue, document, { quoteText, whole }));
  const listed = problems.slice(0, maxListed).map(({ text }) => text);
  const left = problems.length - listed.length;
  return {
    success: false,
    problems,
    complaint: `${listed.join('; ')}${left > 0 ? `; and ${left} more` : ''}`,
  };
}

type Issue = z.core.$ZodIssue;
type RawIssue = z.core.$ZodRawIssue;

function isUnknownKey({ code }: Issue): boolean {
  return code === 'unrecognized_keys';
}

/** Placeholder for a union's message, which `findInnermost` derives from the union's branches. */
const unionPlaceholder = 'expected another form';

/** Zod's error map. Zod does not call it for schemas with a message of their own. */
function describeExpectation(issue: RawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${typeText(issue)}`;
    case 'invalid_value':
      return `expected ${choiceText(issue.values, issue.input)}`;
    case 'too_big':
      return `expected ${boundText(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)}`;
    case 'too_small':
      return `expected ${boundText(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}`;
    case 'invalid_format':
      return `expected ${formatText(issue)}`;
    case 'not_multiple_of':
      return `expected a multiple of ${issue.divisor}`;
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKeyText(key, knownKeys(issue.inst))).join('; ');
    case 'invalid_union':
      return unionPlaceholder;
    case 'invalid_key':
      return issue.issues.map(({ message }) => message).join('; ');
    default:
      return 'expected another value';
  }
}

const typeTexts: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  bigint: 'a whole number',
  array: 'an array',
  object: 'an object',
  record: 'an object',
  map: 'an object',
  null: 'null',
  undefined: 'nothing',
  date: 'a date',
  nan: 'NaN',
  never: 'nothing',
};

function typeText({ expected, inst }: Extract<RawIssue, { readonly code: 'invalid_type' }>): string {
  const def = definitionOf(inst);
  if (expected === 'number' && def?.['format'] === 'safeint') return 'a whole number';
  const required = expected === 'object' ? requiredKeys(inst) : [];
  const text = Object.hasOwn(typeTexts, expected) ? typeTexts[expected] : String(expected);
  return required.length === 0 ? `${text}` : `${text} with ${required.join(', ')}`;
}

function choiceText(values: readonly unknown[], given: unknown): string {
  const texts = values.map((value) => JSON.stringify(value) ?? String(value));
  const last = texts.at(-1) ?? 'nothing';
  const list = texts.length < 2 ? last : `${texts.slice(0, -1).join(', ')} or ${last}`;
  const names = values.filter((value) => typeof value === 'string');
  const near = typeof given === 'string' && names.length > 3 ? nearestName(given, names) : undefined;
  return near === undefined ? list : `${list}; did you mean ${JSON.stringify(near)}?`;
}

function boundText(origin: string, relation: string, bound: number | bigint): string {
  if (origin === 'string') return `${relation} ${formatCount(bound, 'character')}`;
  if (origin === 'array' || origin === 'set') return `${relation} ${formatCount(bound, 'item')}`;
  if (origin === 'object' || origin === 'record' || origin === 'map')
    return `${relation} ${formatCount(bound, 'key')}`;
  return `${relation} ${bound}`;
}

function formatCount(count: number | bigint, unit: string): string {
  return `${count} ${unit}${Number(count) === 1 ? '' : 's'}`;
}

const formatTexts: Readonly<Record<string, string>> = {
  url: 'a URL such as "https://example.com/"',
  datetime: 'a time such as "2027-12-31T00:00:00Z"',
  date: 'a date such as "2027-12-31"',
  email: 'an e-mail address',
  uuid: 'a UUID',
};

function formatText({ format, pattern }: Extract<RawIssue, { readonly code: 'invalid_format' }>): string {
  if (Object.hasOwn(formatTexts, format)) return formatTexts[format] ?? format;
  return pattern === undefined ? `a string of the form ${format}` : `a string that matches ${pattern}`;
}

/** Describes an unknown key and proposes the near known key, or else lists all known keys. */
function unknownKeyText(key: string, known: readonly string[]): string {
  const near = nearestName(key, known);
  const hint =
    near === undefined ? `expected one of ${known.join(', ')}` : `did you mean ${JSON.stringify(near)}?`;
  return `${JSON.stringify(key.slice(0, 80))} is unknown; ${hint}`;
}

function knownKeys(inst: RawIssue['inst']): readonly string[] {
  return Object.keys(shapeOf(inst));
}

function requiredKeys(inst: RawIssue['inst']): readonly string[] {
  return Object.entries(shapeOf(inst))
    .filter(([, member]) => member._zod.optin === undefined)
    .map(([key]) => key);
}

function shapeOf(inst: RawIssue['inst']): Readonly<Record<string, z.core.$ZodType>> {
  const shape = definitionOf(inst)?.['shape'];
  return isShape(shape) ? shape : {};
}

function definitionOf(inst: RawIssue['inst']): Readonly<Record<string, unknown>> | undefined {
  const def: unknown = inst?._zod.def;
  return isObject(def) ? def : undefined;
}

function isShape(value: unknown): value is Readonly<Record<string, z.core.$ZodType>> {
  return isObject(value) && Object.values(value).every((member) => isObject(member) && '_zod' in member);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** Returns the issue; for a union, the issue of the branch that the value was most likely meant for. */
function findInnermost(issue: Issue, prefix: readonly PropertyKey[]): Issue {
  const path = [...prefix, ...issue.path];
  if (issue.code !== 'invalid_union' || issue.message !== unionPlaceholder) return { ...issue, path };
  const branches = issue.errors.filter((branch) => branch.length > 0);
  const candidates = branches.filter((branch) => !branch.some(isOtherKind));
  const [best = []] = candidates.toSorted((a, b) => countMismatches(a) - countMismatches(b));
  const first = best.find(isUnknownKey) ?? best[0];
  if (first !== undefined) return findInnermost(first, path);
  const texts = branches.flatMap((branch) => branch.slice(0, 1).map(({ message }) => message));
  return { ...issue, path, message: texts.length === 0 ? unionPlaceholder : joinAlternatives(texts) };
}

/** Reports whether the whole value has another type, so that the branch was not meant. */
function isOtherKind({ code, path }: Issue): boolean {
  return path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');
}

/** Counts the branch's own keys that do not match; problems within a key's value do not count. */
function countMismatches(branch: readonly Issue[]): number {
  return branch.filter(
    (issue) => issue.path.length === 0 || (issue.path.length === 1 && !isUnknownKey(issue)),
  ).length;
}

function joinAlternatives(texts: readonly string[]): string {
  const plain = [...new Set(texts.map((text) => text.replace(/^expected /, '')))];
  return `expected ${plain.join(', or ')}`;
}

interface Wording {
  readonly quoteText: boolean;
  readonly whole: string;
}

function toProblem(issue: Issue, document: unknown, { quoteText, whole }: Wording): Problem {
  const { path, message } = issue;
  const where = pathText(path) || whole;
  const text = (value: string) => ({ path, expected: message, text: value });
  if (isUnknownKey(issue)) return text(path.length === 0 ? message : `${where}: ${message}`);
  if (issue.code === 'invalid_key') {
    const key = JSON.stringify(String(path.at(-1)).slice(0, 80));
    return text(`${pathText(path.slice(0, -1)) || whole} has the key ${key}; ${message}`);
  }
  const value = findValue(issue, document);
  if (issue.code === 'custom' && isObject(value)) return text(`${where}: ${message}`);
  return text(
    value === undefined
      ? `${where} is missing; ${message}`
      : `${where} is ${describeValue(value, quoteText)}; ${message}`,
  );
}

/** Returns the value that the issue is about. A schema's own check reports its whole object as input, and a path into it. */
function findValue({ code, input, path }: Issue, document: unknown): unknown {
  if (code !== 'custom') return input;
  const found = path.reduce<unknown>(
    (at, key) => (isObject(at) ? Reflect.get(at, key) : undefined),
    document,
  );
  return found === undefined && !isObject(input) ? input : found;
}

const maxShownLength = 60;

function describeValue(value: unknown, quoteText: boolean): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : `an array of ${value.length}`;
  if (typeof value === 'object') return 'an object';
  if (typeof value !== 'string') return String(value);
  if (value === '') return 'an empty string';
  if (!quoteText) return 'a string';
  return value.length <= maxShownLength
    ? JSON.stringify(value)
    : `${JSON.stringify(`${value.slice(0, maxShownLength)}…`)} (${value.length} characters)`;
}

const plainKey = /^[A-Za-z_$][\w$-]*$/;

/** Formats a path such as `endpoints[0].models` or `labels["a b"]`. */
function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) => {
      if (typeof key === 'number') return `[${key}]`;
      const name = String(key);
      if (!plainKey.test(name)) return `[${JSON.stringify(name.slice(0, 80))}]`;
      return index === 0 ? name : `.${name}`;
    })
    .join('');
}
