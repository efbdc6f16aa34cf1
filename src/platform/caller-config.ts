/** Configuration of callers at an edge: token issuers, purposes and rate limits. */
import { z } from 'zod';
import { toEdgewiseError } from '../errors.ts';
import { type Issuer, parseIssuers } from '../governance/accounts/issuers.ts';
import type { Rate } from '../governance/accounts/schema.ts';
import { defaultPurposes } from '../governance/policy/purpose.ts';
import { purposeSchema } from '../repository/terms.ts';
import { listOr, whole } from './variables.ts';

const issuers = z
  .string()
  .default('[]')
  .transform((text, context): readonly Issuer[] => {
    try {
      return parseIssuers(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: toEdgewiseError(error).message });
      return z.NEVER;
    }
  });

export const callerVariables = {
  /** Values that `Edgewise-Purpose` accepts, besides those that the model's terms, a grant or the key names. Receipts record no other value. */
  EDGEWISE_PURPOSES: listOr(defaultPurposes.join(',')).pipe(z.array(purposeSchema).max(256)),
  /** Issuers of bearer tokens (JWT, OpenID Connect) as JSON (`governance/accounts/issuers.ts`). Empty: no token is accepted. */
  EDGEWISE_JWT_ISSUERS: issuers,
  /** Requests per minute for one key or token at one location, unless its scopes set another rate. 0: unlimited. */
  EDGEWISE_RATE_PER_MINUTE: whole(0, 1_000_000).default(6000),
  /** Requests per minute for one address of unauthenticated callers at one location. 0: unlimited. */
  EDGEWISE_ANONYMOUS_RATE_PER_MINUTE: whole(0, 1_000_000).default(600),
};

type CallerValues = z.output<z.ZodObject<typeof callerVariables>>;

export interface CallerConfig {
  readonly issuers: readonly Issuer[];
  /** Undefined: unlimited. */
  readonly keyRate: Rate | undefined;
  readonly anonymousRate: Rate | undefined;
}

export function callerConfig(values: CallerValues): CallerConfig {
  return {
    issuers: values.EDGEWISE_JWT_ISSUERS,
    keyRate: perMinute(values.EDGEWISE_RATE_PER_MINUTE),
    anonymousRate: perMinute(values.EDGEWISE_ANONYMOUS_RATE_PER_MINUTE),
  };
}

function perMinute(requests: number): Rate | undefined {
  return requests === 0 ? undefined : { requests, perSeconds: 60 };
}
