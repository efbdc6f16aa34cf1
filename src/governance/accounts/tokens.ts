/**
 * Bearer tokens of issuers that the configuration names (JWT, RFC 7519; OpenID Connect). A token stands for a tenant, with
 * at most the scopes that its issuer is given. What was checked is kept by the token's hash for at most five minutes, and
 * never past its end or the age of the keys that it was checked with; whether the tenant is served is asked each time.
 */
import { createLocalJWKSet, decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import { z } from 'zod';
import type { Clock } from '../../async/clock.ts';
import { Lru } from '../../async/lru.ts';
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import { purposeSchema } from '../../repository/terms.ts';
import type { Defer } from '../../storage/types.ts';
import { IssuerKeys, jwksMaxAgeMs, jwksMaxStaleMs, type KeySet } from './issuer-keys.ts';
import type { Issuer } from './issuers.ts';
import { credentialHash } from './key-format.ts';
import {
  type AccountAccess,
  accountAccessSchema,
  accountIdSchema,
  modelPatternSchema,
  type Scopes,
} from './schema.ts';
import { intersectModels, intersectPurposes, lesserAccess } from './scopes.ts';

const maxKeptMs = 300_000;
const maxKept = 4096;
/** How far the clocks of issuer and server may differ. */
const clockToleranceSeconds = 30;
const tokenForm = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** What a valid token says. */
export interface TokenIdentity {
  /**
   * A hash of issuer and subject, the same for all tokens of a holder. Whoever knows an address can make it, so it stays
   * in memory: records have the pseudonym that the tenant's key makes of it (`Accounts.pseudonym`).
   */
  readonly holder: string;
  readonly tenant: string;
  readonly scopes: Scopes;
}

export interface TokensOptions {
  readonly issuers: readonly Issuer[];
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly clock: Clock;
  readonly defer: Defer;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

interface Kept {
  readonly identity: TokenIdentity;
  /** By the clock. */
  readonly until: number;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

interface Trusted extends Issuer {
  readonly keys: IssuerKeys;
}

/** Whether a credential has the form of a token. */
export function isTokenForm(credential: string): boolean {
  return tokenForm.test(credential);
}

export class Tokens {
  readonly #options: TokensOptions;
  readonly #issuers: ReadonlyMap<string, Trusted>;
  readonly #kept = new Lru<string, Kept>({ maxBytes: maxKept });

  constructor(options: TokensOptions) {
    this.#options = options;
    this.#issuers = new Map(
      options.issuers.map((issuer) => [
        issuer.issuer,
        { ...issuer, keys: new IssuerKeys({ ...options, issuer: issuer.issuer, url: issuer.jwksUrl }) },
      ]),
    );
  }

  /**
   * What the token says, at once where it was checked a moment ago.
   *
   * @param hash Of the token: what it is remembered by.
   * @throws EdgewiseError (by the promise) `unauthenticated`; `records_unavailable` where its issuer's keys cannot be had.
   */
  verify(token: string, hash: string): TokenIdentity | Promise<TokenIdentity> {
    const { clock, now } = this.#options;
    const kept = this.#kept.get(hash);
    if (kept !== undefined && clock.now() < kept.until && now() < kept.expiresAt) return kept.identity;
    return this.#check(token, hash);
  }

  /** Whether the token of this hash was checked a while ago: it may have to be again. */
  knows(hash: string): boolean {
    return this.#kept.has(hash);
  }

  async #check(token: string, hash: string): Promise<TokenIdentity> {
    const { clock } = this.#options;
    const issuer = this.#issuerOf(token);
    const current = issuer.keys.current();
    let keySet = current instanceof Promise ? await current : current;
    let payload: JWTPayload;
    try {
      payload = await this.#verifyWith(keySet, token, issuer);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw refusal(error);
      const newer = await issuer.keys.newerThan(keySet);
      if (newer === keySet) throw refusal(error);
      keySet = newer;
      payload = await this.#verifyWith(keySet, token, issuer).catch((again) => {
        throw refusal(again);
      });
    }
    const identity = await identityOf(payload, issuer);
    const checkedAt = clock.now();
    // Keys that are believed beyond their age are so since there are no newer ones to be had.
    const keysAgeMs = checkedAt - keySet.readAt;
    const keysUntil = keySet.readAt + (keysAgeMs < jwksMaxAgeMs ? jwksMaxAgeMs : jwksMaxStaleMs);
    this.#kept.set(
      hash,
      {
        identity,
        until: Math.min(checkedAt + maxKeptMs, keysUntil),
        expiresAt: (payload.exp ?? 0) * 1000,
      },
      1,
    );
    return identity;
  }

  /** By what the token says of itself, which its signature has yet to confirm. */
  #issuerOf(token: string): Trusted {
    let named: string | undefined;
    try {
      named = decodeJwt(token).iss;
    } catch (error) {
      throw refusal(error);
    }
    const issuer = named === undefined ? undefined : this.#issuers.get(named);
    if (issuer === undefined) {
      throw new EdgewiseError('unauthenticated', 'the token is of an issuer that is not known here');
    }
    return issuer;
  }

  async #verifyWith({ jwks }: KeySet, token: string, issuer: Issuer): Promise<JWTPayload> {
    const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(jwks), {
      algorithms: issuer.algorithms,
      issuer: issuer.issuer,
      audience: issuer.audience,
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(this.#options.now()),
      requiredClaims: ['exp', 'sub'],
    });
    checkType(protectedHeader.typ, issuer);
    return payload;
  }
}

/** Types of tokens that say who calls: of any JWT (RFC 7519 §5.1), and of access tokens (RFC 9068 §2.1). */
const commonTypes: readonly string[] = ['jwt', 'at+jwt'];

/**
 * Refuses what its issuer signed for another purpose: a logout token, a security event, a receipt.
 *
 * @throws EdgewiseError `unauthenticated`
 */
function checkType(given: string | undefined, { types }: Issuer): void {
  const normal = (type: string) => type.toLowerCase().replace(/^application\//, '');
  if (given === undefined && types === undefined) return;
  const taken = types?.map(normal) ?? commonTypes;
  if (given !== undefined && taken.includes(normal(given))) return;
  throw new EdgewiseError(
    'unauthenticated',
    `the token has ${given === undefined ? 'no typ' : 'another typ'} in its header; its issuer's have ${taken.join(' or ')} here`,
  );
}

/** @throws EdgewiseError `unauthenticated` where a claim that is wanted is not there, or not of its form. */
async function identityOf(payload: JWTPayload, issuer: Issuer): Promise<TokenIdentity> {
  const { scopes, modelsClaim, purposesClaim, accountClaim } = issuer;
  const models = modelsClaim && claimed(payload, modelsClaim, modelPatternSchema);
  const purposes = purposesClaim && claimed(payload, purposesClaim, purposeSchema);
  const account = accountClaim && accountOf(payload, accountClaim);
  return {
    holder: await credentialHash(JSON.stringify([payload.iss, payload.sub])),
    tenant: issuer.tenant ?? tenantOf(payload, issuer),
    scopes: {
      ...scopes,
      ...(models && { models: intersectModels(scopes.models, models) }),
      ...(purposes && { purposes: intersectPurposes(scopes.purposes, purposes) }),
      ...(account && { account: lesserAccess(scopes.account, account) }),
    },
  };
}

function tenantOf(payload: JWTPayload, { tenantClaim = '', tenants = [] }: Issuer): string {
  const parsed = accountIdSchema.safeParse(payload[tenantClaim]);
  if (!parsed.success) throw unusableClaim(tenantClaim, 'the id of a tenant');
  if (tenants !== '*' && !tenants.includes(parsed.data)) {
    throw new EdgewiseError('unauthenticated', 'the token names a tenant that its issuer does not speak for');
  }
  return parsed.data;
}

function accountOf(payload: JWTPayload, name: string): AccountAccess {
  const parsed = accountAccessSchema.safeParse(payload[name]);
  if (!parsed.success) throw unusableClaim(name, '"none", "read" or "manage"');
  return parsed.data;
}

/** A list, or words with spaces between as OAuth has them (RFC 8693 §4.2). */
function claimed<T extends z.ZodType<string>>(payload: JWTPayload, name: string, item: T): string[] {
  const claim: unknown = payload[name];
  const items: unknown = typeof claim === 'string' ? claim.split(' ').filter((word) => word !== '') : claim;
  const parsed = z.array(item).max(256).safeParse(items);
  if (!parsed.success) throw unusableClaim(name, 'a list of usable names');
  return parsed.data;
}

function unusableClaim(name: string, wanted: string): EdgewiseError {
  return new EdgewiseError('unauthenticated', `the token's claim ${JSON.stringify(name)} is not ${wanted}`);
}

/** What jose found wrong, without anything that the token holds. */
function refusal(cause: unknown): EdgewiseError {
  if (isEdgewiseError(cause)) return cause;
  return new EdgewiseError('unauthenticated', `the token is not usable: ${reasonOf(cause)}`, { cause });
}

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'it has expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    return error.reason === 'missing'
      ? `its claim "${error.claim}" is missing`
      : `its claim "${error.claim}" is not as wanted here`;
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'its algorithm is not one that its issuer uses here';
  if (error instanceof errors.JWKSNoMatchingKey) return 'its issuer has no such key';
  if (error instanceof errors.JWKSMultipleMatchingKeys) return 'it does not say which key signed it';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature is not valid';
  return 'it is no signed token';
}
