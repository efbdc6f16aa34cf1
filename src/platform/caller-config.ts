/** Who is believed to call, and how often anyone may: the keys of an edge. */
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
  /** Words that `Edgewise-Purpose` takes, beside those that the model's terms, a grant or the key names: the record has no other. */
  EDGEWISE_PURPOSES: listOr(defaultPurposes.join(',')).pipe(z.array(purposeSchema).max(256)),
  /** Issuers of bearer tokens (JWT, OpenID Connect) as JSON (`governance/accounts/issuers.ts`). Empty: no token is believed. */
  EDGEWISE_JWT_ISSUERS: issuers,
  /** Requests a minute that one key or token may make at one place, where its scopes say nothing else. 0: any number. */
  EDGEWISE_RATE_PER_MINUTE: whole(0, 1_000_000).default(6000),
  /** As above, of one address, for callers without a key. */
  EDGEWISE_ANONYMOUS_RATE_PER_MINUTE: whole(0, 1_000_000).default(600),
};

type CallerValues = z.output<z.ZodObject<typeof callerVariables>>;

export interface CallerConfig {
  readonly issuers: readonly Issuer[];
  /** Undefined: not limited. */
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
