/** Composes, signs and reads statements. */
import { base64url, CompactSign, type CryptoKey, compactVerify } from 'jose';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Grant } from '../accounts/schema.ts';
import type { ServerSigningKey, VerifyingKeys } from '../receipt/keys.ts';
import { canonicalJson } from '../receipt/parts.ts';
import { type Count, sumTallies, type Tally } from './count.ts';
import { multiply } from './decimal.ts';
import { type Statement, statementSchema, statementSchemaId, statementType } from './schema.ts';

export interface StatementFacts {
  readonly issuer: string;
  readonly log: string;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  readonly tenant: string;
  readonly grant: Pick<Grant, 'id' | 'assigner' | 'model' | 'royalty'>;
  readonly month: string;
  readonly tags: readonly string[];
  readonly count: Count;
  /** Signed note of the tree of the count. */
  readonly checkpoint: string;
}

export function composeStatement(facts: StatementFacts): Statement {
  const { issuer, log, nowMs, tenant, grant, month, tags, count, checkpoint } = facts;
  const { id, assigner, model, royalty } = grant;
  const { entries, units, first, last } = sumTags(count, tags);
  const issuedAt = new Date(nowMs).toISOString();
  return {
    schema: statementSchemaId,
    issuer,
    log,
    issuedAt,
    grant: { id, assigner, model, tenant },
    month,
    isOver: issuedAt.slice(0, month.length) > month,
    tags: [...tags],
    entries,
    units,
    ...(entries > 0 && { first, last }),
    size: count.tree.size,
    checkpoint,
    ...(royalty !== undefined && { royalty, amount: multiply(royalty.amount, units) }),
  };
}

/** Sums all entries that have one of the tags. */
export function sumTags({ tallies }: Count, tags: readonly string[]): Tally {
  return sumTallies([...new Set(tags)].map((tag) => tallies.get(tag)));
}

export function signStatement(statement: Statement, { kid, key }: ServerSigningKey): Promise<string> {
  return new CompactSign(new TextEncoder().encode(canonicalJson(statement)))
    .setProtectedHeader({ alg: 'EdDSA', kid, typ: statementType })
    .sign(key);
}

/** Far above the length of any issued statement. */
const maxStatementLength = 512 * 1024;

/**
 * Reads a statement and verifies that one of `keys` signed it.
 *
 * @throws EdgewiseError `invalid_request` if `compact` is not a statement; `signature_invalid` if none of the keys signed it.
 */
export async function readStatement(compact: string, keys: VerifyingKeys): Promise<Statement> {
  if (compact.length > maxStatementLength || compact.split('.').length !== 3) {
    throw badStatement('expected a compact JWS');
  }
  let verified: Awaited<ReturnType<typeof compactVerify>>;
  try {
    verified = await compactVerify(compact, ({ kid }) => findKey(keys, kid), { algorithms: ['EdDSA'] });
  } catch (cause) {
    throw new EdgewiseError('signature_invalid', 'the statement is not signed by any of the given keys', {
      cause,
    });
  }
  if (verified.protectedHeader.typ !== statementType) {
    throw new EdgewiseError(
      'signature_invalid',
      `the signed document is not a statement; expected typ ${statementType}`,
    );
  }
  return parseStatement(new TextDecoder().decode(verified.payload));
}

/** Reads a statement without verifying it. @throws EdgewiseError `invalid_request` */
export function peekStatement(compact: string): Statement {
  const [, payload = ''] = compact.split('.');
  let text: string;
  try {
    text = new TextDecoder().decode(base64url.decode(payload));
  } catch (cause) {
    throw badStatement('expected a compact JWS', cause);
  }
  return parseStatement(text);
}

function parseStatement(text: string): Statement {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw badStatement('its payload is not JSON', cause);
  }
  const checked = checkDocument(statementSchema, value, { whole: 'its payload' });
  if (!checked.success) throw badStatement(checked.complaint);
  if (canonicalJson(checked.data) !== text)
    throw badStatement('its payload is not canonical JSON (RFC 8785)');
  return checked.data;
}

function findKey(keys: VerifyingKeys, kid: string | undefined): CryptoKey {
  const key = kid === undefined ? undefined : keys.get(kid);
  if (key === undefined)
    throw new EdgewiseError('signature_invalid', 'the signing key is not among the given keys');
  return key;
}

function badStatement(reason: string, cause?: unknown): EdgewiseError {
  return new EdgewiseError('invalid_request', `the statement cannot be read: ${reason}`, { cause });
}
