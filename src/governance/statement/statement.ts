/** Makes statements out of what was counted, signs them and reads them. */
import { base64url, CompactSign, type CryptoKey, compactVerify } from 'jose';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import type { Grant } from '../accounts/schema.ts';
import type { ServerSigningKey, VerifyingKeys } from '../receipt/keys.ts';
import { canonicalJson } from '../receipt/parts.ts';
import { type Count, joined, type Tally } from './count.ts';
import { times } from './decimal.ts';
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
  /** Signed note of the count's tree. */
  readonly checkpoint: string;
}

export function statementOf(facts: StatementFacts): Statement {
  const { issuer, log, nowMs, tenant, grant, month, tags, count, checkpoint } = facts;
  const { id, assigner, model, royalty } = grant;
  const { entries, units, first, last } = sumOf(count, tags);
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
    ...(royalty !== undefined && { royalty, amount: times(royalty.amount, units) }),
  };
}

/** What all entries with one of the tags say together. */
export function sumOf({ tallies }: Count, tags: readonly string[]): Tally {
  return joined([...new Set(tags)].map((tag) => tallies.get(tag)));
}

export function signStatement(statement: Statement, { kid, key }: ServerSigningKey): Promise<string> {
  return new CompactSign(new TextEncoder().encode(canonicalJson(statement)))
    .setProtectedHeader({ alg: 'EdDSA', kid, typ: statementType })
    .sign(key);
}

/** What statements may be of, far above what they are. */
const maxStatementLength = 512 * 1024;

/**
 * The statement, of whoever holds one of `keys`.
 *
 * @throws EdgewiseError `invalid_request` for what is no statement; `signature_invalid` where none of the keys signed it.
 */
export async function readStatement(compact: string, keys: VerifyingKeys): Promise<Statement> {
  if (compact.length > maxStatementLength || compact.split('.').length !== 3) {
    throw notStatement('wanted a compact JWS');
  }
  let verified: Awaited<ReturnType<typeof compactVerify>>;
  try {
    verified = await compactVerify(compact, ({ kid }) => keyOf(keys, kid), { algorithms: ['EdDSA'] });
  } catch (cause) {
    throw new EdgewiseError('signature_invalid', 'the statement is signed by none of the keys given', {
      cause,
    });
  }
  if (verified.protectedHeader.typ !== statementType) {
    throw new EdgewiseError(
      'signature_invalid',
      `what is signed is no statement, wanted typ ${statementType}`,
    );
  }
  return parseStatement(new TextDecoder().decode(verified.payload));
}

/** As it says, unverified. @throws EdgewiseError `invalid_request` */
export function peekStatement(compact: string): Statement {
  const [, payload = ''] = compact.split('.');
  let text: string;
  try {
    text = new TextDecoder().decode(base64url.decode(payload));
  } catch (cause) {
    throw notStatement('wanted a compact JWS', cause);
  }
  return parseStatement(text);
}

function parseStatement(text: string): Statement {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw notStatement('its payload is no JSON', cause);
  }
  const checked = checkDocument(statementSchema, value, { whole: 'its payload' });
  if (!checked.success) throw notStatement(checked.complaint);
  if (canonicalJson(checked.data) !== text)
    throw notStatement('its payload is not canonical JSON (RFC 8785)');
  return checked.data;
}

function keyOf(keys: VerifyingKeys, kid: string | undefined): CryptoKey {
  const key = kid === undefined ? undefined : keys.get(kid);
  if (key === undefined) throw new EdgewiseError('signature_invalid', 'the key is not among those given');
  return key;
}

function notStatement(reason: string, cause?: unknown): EdgewiseError {
  return new EdgewiseError('invalid_request', `the statement cannot be read: ${reason}`, { cause });
}
