/** Composes, signs and reads statements. */
import { base64url } from 'jose';
import { equalBytes, utf8 } from '../../bytes.ts';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Grant } from '../accounts/schema.ts';
import { canonicalJson } from '../canonical-json.ts';
import type { ServerSigningKey, VerifyingKeys } from '../receipt/keys.ts';
import { parsePayload, signDocument, verifyDocument } from '../signed-document.ts';
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

export function signStatement(statement: Statement, key: ServerSigningKey): Promise<string> {
  return signDocument(statement, statementType, key);
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
  const { payload } = await verifyDocument(compact, statementType, keys, 'the statement');
  return parseStatement(payload);
}

/** Reads a statement without verifying it. @throws EdgewiseError `invalid_request` */
export function peekStatement(compact: string): Statement {
  const [, payload = ''] = compact.split('.');
  let bytes: Uint8Array;
  try {
    bytes = base64url.decode(payload);
  } catch (cause) {
    throw badStatement('expected a compact JWS', cause);
  }
  return parseStatement(bytes);
}

function parseStatement(payload: Uint8Array): Statement {
  const value = parsePayload(payload, 'the payload of the statement');
  const checked = checkDocument(statementSchema, value, { whole: 'its payload' });
  if (!checked.success) throw badStatement(checked.complaint);
  if (!equalBytes(utf8(canonicalJson(checked.data)), payload))
    throw badStatement('its payload is not canonical JSON (RFC 8785)');
  return checked.data;
}

function badStatement(reason: string, cause?: unknown): EdgewiseError {
  return new EdgewiseError('invalid_request', `the statement cannot be read: ${reason}`, { cause });
}
