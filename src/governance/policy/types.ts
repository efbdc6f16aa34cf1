import type { ErrorCode } from '../../errors.ts';
import type { Manifest } from '../../repository/schema.ts';
import type { Duty, Quota, Terms } from '../../repository/terms.ts';
import type { Digest } from '../../storage/types.ts';
import type { Caller } from '../accounts/caller.ts';
import type { Action, Grant } from '../accounts/schema.ts';
import type { PackCheck } from './pack-checks.ts';

/**
 * All facts that a decision depends on, so that the same facts always give the same decision. Values computed from terms,
 * grants and packs are cached by object identity, so none of these may be changed in place.
 */
export interface GateFacts {
  readonly action: Action;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly manifest: Pick<Manifest, 'name'>;
  readonly terms: Terms;
  /** Root digest of the model's signature, which a grant's target names. */
  readonly root: Digest;
  readonly caller: Caller;
  /** Whether the configuration opens this model to unauthenticated callers. */
  readonly isOpened: boolean;
  /** The purpose declared with the request, if any. */
  readonly purpose: string | undefined;
  /** Country of the connection, if known. Codes that are not countries, such as `T1` and `XX`, count as unknown. */
  readonly connectionCountry: string | undefined;
  readonly packs: readonly PackInForce[];
  /** Set by the operator: the model is not served. */
  readonly stop: Stop | undefined;
}

export interface Stop {
  readonly since: string;
  readonly reason: string;
}

/** A signed and configured policy pack. Each rule applies from its date. */
export interface PackInForce {
  readonly id: string;
  readonly version: string;
  /** Digest of the pack's canonical JSON, which receipts name. */
  readonly digest: Digest;
  readonly rules: readonly PackRule[];
}

export interface PackRule {
  readonly id: string;
  /** The clause of the law: `Art. 50(2)`. */
  readonly clause: string;
  readonly appliesFrom: string;
  readonly appliesTo: 'all' | 'generative';
  readonly check: PackCheck;
}

/** The meter that counts the use, and its quota. */
export interface MeterOf {
  /** `grant:<id>`, or `licence:<who>:<model>` without one; who: a tenant's id, `anonymous`, `key.<id>` or `admin.<id>`. */
  readonly meter: string;
  readonly quota: Quota | undefined;
}

export interface Permission {
  readonly permitted: true;
  readonly purpose: string | undefined;
  /** The place that was checked; undefined if use is not restricted to territories. */
  readonly territory: string | undefined;
  /** The grant that permits the use; undefined if the licence alone permits it. */
  readonly grant: Grant | undefined;
  /** Receipt of the acceptance, or the acceptance's id if it has no receipt. */
  readonly acceptance: string | undefined;
  readonly duties: readonly Duty[];
  readonly meter: MeterOf;
  /** Further grants that permit the same use, in order, for when the quota of this one is used up. */
  readonly fallbacks?: readonly GrantedUse[] | undefined;
}

/** The part of a permission that depends on the grant. */
export type GrantedUse = Pick<Permission, 'grant' | 'territory' | 'meter'>;

export interface Refusal {
  readonly permitted: false;
  readonly code: ErrorCode;
  /** The missing right, in words, for the caller and the receipt. At most 300 characters. */
  readonly right: string;
  /** The message for the caller: what was attempted, and which right is missing. */
  readonly message: string;
  /** Path on this server where the right can be obtained; undefined if it cannot. */
  readonly where: string | undefined;
  readonly purpose: string | undefined;
  readonly territory: string | undefined;
  readonly grant: Grant | undefined;
}

export type Decision = Permission | Refusal;
