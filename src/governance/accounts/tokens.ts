/**
 * Bearer tokens of configured issuers (JWT, RFC 7519; OpenID Connect). A token identifies a tenant and has at most the scopes
 * of its issuer. A checked token is cached by its hash for at most five minutes, and never past its expiry or the age of the
 * keys that it was checked with. Whether the tenant is active is checked on every request.
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

const maxCachedMs = 300_000;
const maxCachedTokens = 4096;
/** How far the clocks of issuer and server may differ. */
const clockToleranceSeconds = 30;
const tokenForm = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** The identity that a valid token proves. */
export interface TokenIdentity {
  /**
   * A hash of issuer and subject, the same for all tokens of a holder. Guessing a subject is enough to compute it, so it stays
   * in memory; records contain the pseudonym derived from it under the tenant's key (`Accounts.pseudonym`).
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

interface CheckedToken {
  readonly identity: TokenIdentity;
  /** By the clock. */
  readonly until: number;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

interface TrustedIssuer extends Issuer {
  readonly keys: IssuerKeys;
}

/** Reports whether a credential has the form of a token. */
export function isTokenForm(credential: string): boolean {
  return tokenForm.test(credential);
}

export class Tokens {
  readonly #options: TokensOptions;
  readonly #issuers: ReadonlyMap<string, TrustedIssuer>;
  /** Hash of the token → what was checked. */
  readonly #checked = new Lru<string, CheckedToken>({ maxBytes: maxCachedTokens });

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
   * Returns the identity that the token proves, without a promise if the token is cached.
   *
   * @param hash The token's hash, by which it is cached.
   * @throws EdgewiseError (by the promise) `unauthenticated`; `records_unavailable` if the keys of its issuer cannot be read.
   */
  verify(token: string, hash: string): TokenIdentity | Promise<TokenIdentity> {
    const { clock, now } = this.#options;
    const checked = this.#checked.get(hash);
    if (checked !== undefined && clock.now() < checked.until && now() < checked.expiresAt) {
      return checked.identity;
    }
    return this.#check(token, hash);
  }

  /** Reports whether the token was checked before. `verify` may have to check it again. */
  knows(hash: string): boolean {
    return this.#checked.has(hash);
  }

  async #check(token: string, hash: string): Promise<TokenIdentity> {
    const { clock } = this.#options;
    const issuer = this.#issuerOf(token);
    let keySet = await issuer.keys.current();
    let payload: JWTPayload;
    try {
      payload = await this.#verifyWith(keySet, token, issuer);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw invalidToken(error);
      const newer = await issuer.keys.newerThan(keySet);
      if (newer === keySet) throw invalidToken(error);
      keySet = newer;
      payload = await this.#verifyWith(keySet, token, issuer).catch((again) => {
        throw invalidToken(again);
      });
    }
    const identity = await identityOf(payload, issuer);
    const checkedAt = clock.now();
    // Keys older than their age are still trusted only because newer ones cannot be read.
    const keysAgeMs = checkedAt - keySet.readAt;
    const keysUntil = keySet.readAt + (keysAgeMs < jwksMaxAgeMs ? jwksMaxAgeMs : jwksMaxStaleMs);
    this.#checked.set(
      hash,
      {
        identity,
        until: Math.min(checkedAt + maxCachedMs, keysUntil),
        expiresAt: (payload.exp ?? 0) * 1000,
      },
      1,
    );
    return identity;
  }

  /** Finds the issuer by the claim `iss`, which the signature has yet to confirm. */
  #issuerOf(token: string): TrustedIssuer {
    let named: string | undefined;
    try {
      named = decodeJwt(token).iss;
    } catch (error) {
      throw invalidToken(error);
    }
    const issuer = named === undefined ? undefined : this.#issuers.get(named);
    if (issuer === undefined) {
      throw new EdgewiseError(
        'unauthenticated',
        'the issuer of the token is unknown; expected one that this server is configured to trust',
      );
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

/** Types of tokens that identify callers: any JWT (RFC 7519 §5.1), and access tokens (RFC 9068 §2.1). */
const commonTypes: readonly string[] = ['jwt', 'at+jwt'];

/**
 * Refuses tokens that the issuer signed for another purpose: a logout token, a security event, a receipt.
 *
 * @throws EdgewiseError `unauthenticated`
 */
function checkType(given: string | undefined, { types }: Issuer): void {
  const normal = (type: string) => type.toLowerCase().replace(/^application\//, '');
  if (given === undefined && types === undefined) return;
  const accepted = types?.map(normal) ?? commonTypes;
  if (given !== undefined && accepted.includes(normal(given))) return;
  throw new EdgewiseError(
    'unauthenticated',
    `the token has ${given === undefined ? 'no typ' : 'another typ'} in its header; expected ${accepted.join(' or ')}`,
  );
}

/** @throws EdgewiseError `unauthenticated` if a required claim is missing or malformed. */
async function identityOf(payload: JWTPayload, issuer: Issuer): Promise<TokenIdentity> {
  const { scopes, modelsClaim, purposesClaim, accountClaim } = issuer;
  const models = modelsClaim && readListClaim(payload, modelsClaim, modelPatternSchema);
  const purposes = purposesClaim && readListClaim(payload, purposesClaim, purposeSchema);
  const account = accountClaim && readAccountClaim(payload, accountClaim);
  return {
    holder: await credentialHash(JSON.stringify([payload.iss, payload.sub])),
    tenant: issuer.tenant ?? readTenantClaim(payload, issuer),
    scopes: {
      ...scopes,
      ...(models && { models: intersectModels(scopes.models, models) }),
      ...(purposes && { purposes: intersectPurposes(scopes.purposes, purposes) }),
      ...(account && { account: lesserAccess(scopes.account, account) }),
    },
  };
}

function readTenantClaim(payload: JWTPayload, { tenantClaim = '', tenants = [] }: Issuer): string {
  const parsed = accountIdSchema.safeParse(payload[tenantClaim]);
  if (!parsed.success) throw unusableClaim(tenantClaim, 'the id of a tenant');
  if (tenants !== '*' && !tenants.includes(parsed.data)) {
    throw new EdgewiseError('unauthenticated', 'the token names a tenant that its issuer may not name');
  }
  return parsed.data;
}

function readAccountClaim(payload: JWTPayload, name: string): AccountAccess {
  const parsed = accountAccessSchema.safeParse(payload[name]);
  if (!parsed.success) throw unusableClaim(name, '"none", "read" or "manage"');
  return parsed.data;
}

/** Reads a list, or words separated by spaces as in OAuth (RFC 8693 §4.2). */
function readListClaim<T extends z.ZodType<string>>(payload: JWTPayload, name: string, item: T): string[] {
  const claim: unknown = payload[name];
  const items: unknown = typeof claim === 'string' ? claim.split(' ').filter((word) => word !== '') : claim;
  const parsed = z.array(item).max(256).safeParse(items);
  if (!parsed.success) throw unusableClaim(name, 'a list of valid names');
  return parsed.data;
}

function unusableClaim(name: string, expected: string): EdgewiseError {
  return new EdgewiseError(
    'unauthenticated',
    `the token's claim ${JSON.stringify(name)} is not usable; expected ${expected}`,
  );
}

/** Reports what jose found wrong, without revealing any content of the token. */
function invalidToken(cause: unknown): EdgewiseError {
  if (isEdgewiseError(cause)) return cause;
  return new EdgewiseError('unauthenticated', `the token is not usable: ${reasonOf(cause)}`, { cause });
}

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'it has expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    return error.reason === 'missing'
      ? `its claim "${error.claim}" is missing`
      : `its claim "${error.claim}" has an unexpected value`;
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'its algorithm is not among those of its issuer';
  if (error instanceof errors.JWKSNoMatchingKey) return 'its issuer has no key with its kid';
  if (error instanceof errors.JWKSMultipleMatchingKeys)
    return 'its header does not name the key that signed it';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature is not valid';
  return 'it is not a signed JWT';
}
