/**
 * The signed payload: an in-toto statement with the digest of every file of the model, and the root digest over them
 * (OpenSSF Model Signing v1.0, method `files`). Stricter than the specification if a statement could be read in two ways.
 */

import { z } from 'zod';
import type { Bytes } from '../../bytes.ts';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { digestHex, digestOf } from '../../storage/digest.ts';
import type { Digest } from '../../storage/types.ts';

export const payloadType = 'application/vnd.in-toto+json';
const statementType = 'https://in-toto.io/Statement/v1';
const predicateType = 'https://model_signing/signature/v1.0';

/** Names that may be in a model's folder without being signed. */
export const unsignedNames = ['.git', '.gitattributes', '.github', '.gitignore', 'model.sig'] as const;

/** One file of the model. */
export interface Resource {
  /** Relative to the model's folder. */
  readonly name: string;
  readonly digest: Digest;
}

export interface InTotoStatement {
  /** The signer's name for the model, free text; usually the folder. */
  readonly subject: string;
  /** Identifies the model: SHA-256 over the files' digests in their order. */
  readonly root: Digest;
  /** Sorted by name. */
  readonly resources: readonly Resource[];
}

const hex = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hex digits');
const maxResources = 4096;
const resourceSchema = z.strictObject({
  name: z
    .string()
    .max(1024)
    .refine(isRegularName, 'expected the path of a file in the folder, without "." and ".."'),
  algorithm: z.literal('sha256'),
  digest: hex,
});
/** As v1.0 requires, unknown fields are accepted in the statement and in its predicate, and nowhere else. */
const statementSchema = z.object({
  _type: z.literal(statementType),
  subject: z.tuple([z.strictObject({ name: z.string().max(1024), digest: z.strictObject({ sha256: hex }) })]),
  predicateType: z.literal(predicateType),
  predicate: z.object({
    serialization: z.strictObject({
      method: z.literal('files'),
      hash_type: z.literal('sha256'),
      allow_symlinks: z.literal(false),
      // Another ignored path would allow unsigned files in the folder.
      ignore_paths: z.array(z.enum(unsignedNames)).optional(),
    }),
    resources: z
      .array(resourceSchema)
      .min(1)
      .max(maxResources)
      .refine(isSorted, 'expected names in ascending order of code points, each once'),
  }),
});

/** @throws EdgewiseError `internal` if two files have the same name. */
export async function createInTotoStatement(
  subject: string,
  files: readonly Resource[],
): Promise<InTotoStatement> {
  const resources = [...files].sort((a, b) => compareCodePoints(a.name, b.name));
  if (!isSorted(resources)) throw new EdgewiseError('internal', `two files of ${subject} have the same name`);
  return { subject, root: await computeRoot(resources), resources };
}

export function encodeInTotoStatement({ subject, root, resources }: InTotoStatement): Bytes {
  const statement: z.input<typeof statementSchema> = {
    _type: statementType,
    subject: [{ name: subject, digest: { sha256: digestHex(root) } }],
    predicateType,
    predicate: {
      serialization: {
        method: 'files',
        hash_type: 'sha256',
        allow_symlinks: false,
        ignore_paths: [...unsignedNames],
      },
      resources: resources.map(({ name, digest }) => ({
        name,
        algorithm: 'sha256',
        digest: digestHex(digest),
      })),
    },
  };
  return new Uint8Array(new TextEncoder().encode(JSON.stringify(statement)));
}

/** @throws EdgewiseError `signature_invalid` for another document, or a root that is not that of its files. */
export async function parseInTotoStatement(payload: Uint8Array): Promise<InTotoStatement> {
  const { subject, predicate } = parseStrictly(statementSchema, payload, 'statement');
  const resources = predicate.resources.map(
    ({ name, digest }): Resource => ({ name, digest: `sha256:${digest}` }),
  );
  const [{ name, digest }] = subject;
  const root = await computeRoot(resources);
  if (digestHex(root) !== digest.sha256) {
    throw new EdgewiseError(
      'signature_invalid',
      `the statement's root digest is ${digest.sha256}, expected that of its files, ${digestHex(root)}`,
    );
  }
  return { subject: name, root, resources };
}

/** Parses JSON by a schema. @throws EdgewiseError `signature_invalid` with the schema's complaint */
export function parseStrictly<S extends z.ZodType>(schema: S, bytes: Uint8Array, what: string): z.output<S> {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new EdgewiseError('signature_invalid', `the ${what} of the signature is not JSON`, { cause });
  }
  const checked = checkDocument(schema, document, { quoteText: false, whole: 'it' });
  if (checked.success) return checked.data;
  throw new EdgewiseError(
    'signature_invalid',
    `the ${what} of the signature is not usable: ${checked.complaint}`,
  );
}

async function computeRoot(resources: readonly Resource[]): Promise<Digest> {
  const all = new Uint8Array(resources.length * 32);
  for (const [index, { digest }] of resources.entries()) {
    const digits = digestHex(digest);
    for (let at = 0; at < 32; at += 1) {
      all[index * 32 + at] = Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16);
    }
  }
  return digestOf(all);
}

/** Reports whether the path names one file of the folder on every platform. */
function isRegularName(name: string): boolean {
  if (/[\0\\]/.test(name) || !name.isWellFormed()) return false;
  return name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

function isSorted(resources: readonly { readonly name: string }[]): boolean {
  return resources.every(({ name }, index) => {
    const before = resources[index - 1];
    return before === undefined || compareCodePoints(before.name, name) < 0;
  });
}

/** Compares by code points. JavaScript compares UTF-16 units, which puts U+1F600 before U+FF5E. */
function compareCodePoints(a: string, b: string): number {
  const left = [...a];
  const right = [...b];
  for (const [index, character] of left.entries()) {
    const difference = (character.codePointAt(0) ?? 0) - (right[index]?.codePointAt(0) ?? -1);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
