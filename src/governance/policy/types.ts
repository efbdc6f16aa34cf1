import type { ErrorCode } from '../../errors.ts';
import type { Manifest } from '../../repository/schema.ts';
import type { Duty, Quota, Terms } from '../../repository/terms.ts';
import type { Digest } from '../../storage/types.ts';
import type { Caller } from '../accounts/caller.ts';
import type { Action, Grant } from '../accounts/schema.ts';
import type { PackCheck } from './pack-checks.ts';

/**
 * All that a decision is made of. Nothing else is asked, so the same facts give the same decision again. What is worked
 * out of terms, tenant and packs is remembered by their identity, so that none of them may be changed in place.
 */
export interface GateFacts {
  readonly action: Action;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly manifest: Pick<Manifest, 'name'>;
  readonly terms: Terms;
  /** Root digest of the model's signature: what a grant's target names. */
  readonly root: Digest;
  readonly caller: Caller;
  /** Whether the configuration opens this model to callers without a key. */
  readonly isOpened: boolean;
  /** As declared with the request; undefined: none was. */
  readonly purpose: string | undefined;
  /** Country of the connection; undefined where it is not known. `T1`, `XX` and other words that name no country count as that. */
  readonly connectionCountry: string | undefined;
  readonly packs: readonly PackInForce[];
  /** Set by who runs this server: nothing of this model is served. */
  readonly stop: Stop | undefined;
}

export interface Stop {
  readonly since: string;
  readonly reason: string;
}

/** A policy pack that is signed and configured; its rules apply from their dates on. */
export interface PackInForce {
  readonly id: string;
  readonly version: string;
  /** Of the pack's canonical JSON: what the receipt names. */
  readonly digest: Digest;
  readonly rules: readonly PackRule[];
}

export interface PackRule {
  readonly id: string;
  /** Where the law says so: `Art. 50(2)`. */
  readonly clause: string;
  readonly appliesFrom: string;
  readonly appliesTo: 'all' | 'generative';
  readonly check: PackCheck;
}

/** Whose meter counts, and up to which quota. */
export interface MeterOf {
  /** `grant:<id>`, or `licence:<who>:<model>` without one; who: a tenant's id, `anonymous`, `key.<id>` or `admin.<id>`. */
  readonly meter: string;
  readonly quota: Quota | undefined;
}

export interface Permission {
  readonly permitted: true;
  readonly purpose: string | undefined;
  /** The place that was judged; undefined where the terms bind to none. */
  readonly territory: string | undefined;
  /** The one that it was permitted by; undefined: the licence alone permits it. */
  readonly grant: Grant | undefined;
  /** Receipt of the acceptance, or its id where it has none. */
  readonly acceptance: string | undefined;
  readonly duties: readonly Duty[];
  readonly meter: MeterOf;
  /** Further grants that permit the same use, in order: for when the quota of this one is used up. */
  readonly fallbacks?: readonly GrantedUse[] | undefined;
}

/** What of a permit is one grant's. */
export type GrantedUse = Pick<Permission, 'grant' | 'territory' | 'meter'>;

export interface Refusal {
  readonly permitted: false;
  readonly code: ErrorCode;
  /** The right that is missing, in words: for the caller and for the receipt. At most 300 characters. */
  readonly right: string;
  /** What the caller is told: what was attempted, what is missing. */
  readonly message: string;
  /** Path where it can be had, on this server; undefined where it cannot. */
  readonly where: string | undefined;
  readonly purpose: string | undefined;
  readonly territory: string | undefined;
  readonly grant: Grant | undefined;
}

export type Decision = Permission | Refusal;
