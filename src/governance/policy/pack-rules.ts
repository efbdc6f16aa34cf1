/** Finds the pack rules that a model does not meet, and from when they apply. */
import type { Terms } from '../../repository/terms.ts';
import { checkOf } from './pack-checks.ts';
import type { PackInForce, PackRule } from './types.ts';

export interface Violation {
  readonly pack: PackInForce;
  readonly rule: PackRule;
  /** Milliseconds since 1970: when the rule begins to apply. */
  readonly from: number;
  /** What the model lacks. */
  readonly missing: string;
}

const computed = new WeakMap<readonly PackInForce[], WeakMap<Terms, readonly Violation[]>>();

/** Returns every rule that a model with these terms violates, now or later, earliest first. */
export function violationsOf(packs: readonly PackInForce[], terms: Terms): readonly Violation[] {
  let ofPacks = computed.get(packs);
  if (ofPacks === undefined) {
    ofPacks = new WeakMap();
    computed.set(packs, ofPacks);
  }
  const held = ofPacks.get(terms);
  if (held !== undefined) return held;
  const violations = packs
    .flatMap((pack) =>
      pack.rules
        .filter(({ appliesTo, check }) => isTarget(appliesTo, terms) && !checkOf(check).passes(terms))
        .map((rule) => ({
          pack,
          rule,
          from: Date.parse(rule.appliesFrom),
          missing: checkOf(rule.check).missing,
        })),
    )
    .sort((a, b) => a.from - b.from);
  ofPacks.set(terms, violations);
  return violations;
}

function isTarget(target: PackRule['appliesTo'], { kind }: Terms): boolean {
  return target === 'all' || kind === target;
}

/** Returns the first violation in force at `now`. A rule with an invalid date is in force. */
export function findViolationAt(violations: readonly Violation[], now: number): Violation | undefined {
  return violations.find(({ from }) => !(now < from));
}
