/** Accounts as they are stored: where each document stands, and how it is changed. */
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

/** Where the document of this id stands. */
export function documentKey({ prefix }: DocumentKind<unknown>, id: string): string {
  return `${prefix}${id}${suffix}`;
}

/** @throws EdgewiseError `internal` when `text` is no such document, or that of another id. */
export function decodeDocument<T extends { readonly id: string }>(
  kind: DocumentKind<T>,
  id: string,
  text: string,
): T {
  const document = decodeStored(kind.schema, text, `${kind.what} ${id}`);
  if (document.id !== id) {
    throw new EdgewiseError('internal', `under ${kind.what} ${id} another one is stored`);
  }
  return document;
}

/** @throws EdgewiseError `not_found`, `records_unavailable` */
export async function readDocument<T extends { readonly id: string }>(
  state: StateStore,
  kind: DocumentKind<T>,
  id: string,
): Promise<T> {
  const entry = isId(id) ? await reached(state.get(documentKey(kind, id))) : undefined;
  if (entry === undefined) throw notFound(kind, id);
  return decodeDocument(kind, id, entry.value);
}

/** All ids of this kind, ascending. */
export async function listDocuments(
  state: StateStore,
  { prefix }: DocumentKind<unknown>,
): Promise<readonly string[]> {
  return (await reached(state.list(prefix)))
    .filter((key) => key.endsWith(suffix))
    .map((key) => key.slice(prefix.length, -suffix.length));
}

/** @returns whether it was written: false where one of this id stands already. @throws EdgewiseError `invalid_request` */
export async function createDocument<T extends { readonly id: string }>(
  state: StateStore,
  kind: DocumentKind<T>,
  document: T,
): Promise<boolean> {
  const text = encode(kind, document);
  return (await reached(state.put(documentKey(kind, document.id), text, { ifAbsent: true }))) !== undefined;
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
  return reached(changeStored(state, documentKey(kind, id), form, changeFound, options));
}

/** What could not be read again is not written. */
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

/** A store that fails, or that is written to faster than it takes, as an error to try again after. */
async function reached<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (isEdgewiseError(cause)) throw cause;
    throw new EdgewiseError('records_unavailable', 'the accounts cannot be read or changed now', {
      cause,
      retryAfterSeconds: 1,
    });
  }
}

/** Ids come from addresses, too: what is none leads to no key of the store. */
function isId(id: string): boolean {
  return accountIdForm.test(id);
}

function notFound({ what }: DocumentKind<unknown>, id: string): EdgewiseError {
  return new EdgewiseError('not_found', `there is no ${what} ${JSON.stringify(id.slice(0, 60))} here`);
}
