/** Parses configuration from environment texts, once, with error messages that name the key. */
import { z } from 'zod';
import { checkDocument, type Problem } from '../check-document.ts';

export const mebibyte = 1024 * 1024;

export type Variables = Readonly<Record<string, unknown>>;

export const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^[0-9]+$/, 'expected a whole number')
    .transform(Number)
    .pipe(z.number().min(min).max(max));

/** A list separated by commas. */
export const listOr = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((value) =>
      value
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== ''),
    );

export const list = listOr('');

/** JSON text, checked with `schema`. */
export function json<S extends z.ZodType>(schema: S, fallback: string) {
  return z
    .string()
    .default(fallback)
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: 'custom', message: 'expected JSON' });
        return z.NEVER;
      }
    })
    .pipe(schema);
}

export const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hex digits (a SHA-256)');

const structured: ReadonlySet<string> = new Set([
  'EDGEWISE_JWT_ISSUERS',
  'EDGEWISE_ORIGIN_POOL',
  'EDGEWISE_POLICY_PACKS',
  'EDGEWISE_TRUSTED_PUBLISHERS',
]);

/** @throws Error naming each wrong key, its value and what was expected; values of secrets are not repeated. */
export function parseVariables<S extends z.ZodType>(schema: S, variables: Variables): z.output<S> {
  const checked = checkDocument(schema, variables);
  if (!checked.success) {
    throw new Error(checked.problems.map((problem) => complaint(problem, variables)).join('; '));
  }
  return checked.data;
}

function complaint({ path, expected }: Problem, variables: Variables): string {
  const key = String(path[0]);
  if (variables[key] === undefined) return `configuration ${key} is not set: ${expected}`;
  // Long values are not repeated: the message says which part of them is wrong.
  const value = key.includes('KEY') || structured.has(key) ? 'its value' : JSON.stringify(variables[key]);
  const where = structured.has(key) && path.length > 1 ? `${path.slice(1).join('.')}: ` : '';
  return `configuration ${key}: ${value} is not usable: ${where}${expected}`;
}
