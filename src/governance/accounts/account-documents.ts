/** The stored documents of accounts: under which key each is stored, how it is read, and how it is changed. */
import type { z } from 'zod';
import type { Clock } from '../../async/clock.ts';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import { decodeStored } from '../../repository/documents.ts';
import { changeStored } from '../../storage/compare-and-swap.ts';
import type { StateStore } from '../../storage/types.ts';
import {
  type ApiKey,
  accountIdForm,
  apiKeySchema,
  type GrantOwner,
  grantOwnerSchema,
  type Tenant,
  tenantSchema,
} from './schema.ts';

/** One kind of document. */
export interface DocumentKind<T> {
  /** For messages: `tenant`. */
  readonly what: string;
  readonly prefix: string;
  readonly schema: z.ZodType<T>;
}

export const tenantDocuments: DocumentKind<Tenant> = {
  what: 'tenant',
  prefix: 'accounts/tenants/',
  schema: tenantSchema,
};
export const keyDocuments: DocumentKind<ApiKey> = {
  what: 'key',
  prefix: 'accounts/keys/',
  schema: apiKeySchema,
};
export const grantOwnerDocuments: DocumentKind<GrantOwner> = {
  what: 'grant',
  prefix: 'accounts/grants/',
  schema: grantOwnerSchema,
};

const suffix = '.json';

/** Returns the state key of the document with this id. */
export function documentKey({ prefix }: DocumentKind<unknown>, id: string): string {
  return `${prefix}${id}${suffix}`;
}

/** @throws EdgewiseError `internal` if `text` is not a document of this kind, or has another id. */
export function decodeDocument<T extends { readonly id: string }>(
  kind: DocumentKind<T>,
  id: string,
  text: string,
): T {
  const document = decodeStored(kind.schema, text, `${kind.what} ${id}`);
  if (document.id !== id) {
    throw new EdgewiseError('internal', `another ${kind.what} is stored under the id ${id}`);
  }
  return document;
}

/** @throws EdgewiseError `not_found`, `records_unavailable` */
export async function readDocument<T extends { readonly id: string }>(
  state: StateStore,
  kind: DocumentKind<T>,
  id: string,
): Promise<T> {
  const entry = isId(id) ? await orUnavailable(state.get(documentKey(kind, id))) : undefined;
  if (entry === undefined) throw notFound(kind, id);
  return decodeDocument(kind, id, entry.value);
}

/** How many documents are read at once: a worker has six connections. */
const readsAtATime = 6;

/** Returns the documents in the order of `ids`, without missing ones: an id is listed before its document is stored. */
export async function readDocuments<T extends { readonly id: string }>(
  state: StateStore,
  kind: DocumentKind<T>,
  ids: readonly string[],
): Promise<readonly T[]> {
  const found: T[] = [];
  for (let at = 0; at < ids.length; at += readsAtATime) {
    const reads = ids.slice(at, at + readsAtATime).map(async (id) => {
      try {
        return await readDocument(state, kind, id);
      } catch (error) {
        if (isEdgewiseError(error) && error.code === 'not_found') return undefined;
        throw error;
      }
    });
    for (const document of await Promise.all(reads)) if (document !== undefined) found.push(document);
  }
  return found;
}

/** Returns all ids of this kind, ascending. */
export async function listDocuments(
  state: StateStore,
  { prefix }: DocumentKind<unknown>,
): Promise<readonly string[]> {
  return (await orUnavailable(state.list(prefix)))
    .filter((key) => key.endsWith(suffix))
    .map((key) => key.slice(prefix.length, -suffix.length));
}

/** Returns false, and writes nothing, if there is a document with this id. @throws EdgewiseError `invalid_request` */
export async function createDocument<T extends { readonly id: string }>(
  state: StateStore,
  kind: DocumentKind<T>,
  document: T,
): Promise<boolean> {
  const text = encode(kind, document);
  return (
    (await orUnavailable(state.put(documentKey(kind, document.id), text, { ifAbsent: true }))) !== undefined
  );
}

/**
 * Changes a document by compare-and-swap. `change` may be called several times; if it returns the same object, nothing is
 * written.
 *
 * @returns The document after this change.
 * @throws EdgewiseError `not_found`; `overloaded` if others keep changing it; `records_unavailable`; what `change` throws.
 */
export async function changeDocument<T extends { readonly id: string }>(
  state: StateStore,
  kind: DocumentKind<T>,
  id: string,
  change: (document: T) => T,
  clock?: Clock,
): Promise<T> {
  if (!isId(id)) throw notFound(kind, id);
  const form = {
    decode: (text: string) => decodeDocument(kind, id, text),
    encode: (document: T) => encode(kind, document),
  };
  const changeFound = (document: T | undefined) => {
    if (document === undefined) throw notFound(kind, id);
    return change(document);
  };
  const options = { what: `${kind.what} ${id}`, isGrouped: true, clock };
  return orUnavailable(changeStored(state, documentKey(kind, id), form, changeFound, options));
}

/** Checks the document before it is written, so that it can be read again. */
function encode<T extends { readonly id: string }>(kind: DocumentKind<T>, document: T): string {
  const checked = checkDocument(kind.schema, document, { whole: 'it' });
  if (!checked.success) {
    throw new EdgewiseError(
      'invalid_request',
      `${kind.what} ${document.id} is not usable: ${checked.complaint}`,
    );
  }
  return JSON.stringify(checked.data);
}

/** Turns a failure of the store into an error that callers may retry. */
async function orUnavailable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (isEdgewiseError(cause)) throw cause;
    throw new EdgewiseError(
      'records_unavailable',
      'the accounts cannot be read or changed at the moment, try again',
      {
        cause,
        retryAfterSeconds: 1,
      },
    );
  }
}

/** Ids also come from URLs: a malformed id must not become a key of the store. */
function isId(id: string): boolean {
  return accountIdForm.test(id);
}

function notFound({ what }: DocumentKind<unknown>, id: string): EdgewiseError {
  return new EdgewiseError('not_found', `there is no ${what} ${JSON.stringify(id.slice(0, 60))} here`);
}
