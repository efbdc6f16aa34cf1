/** Which rules of the packs a model does not meet, and from when on. */
import type { Terms } from '../../repository/terms.ts';
import { checkOf } from './pack-checks.ts';
import type { PackInForce, PackRule } from './types.ts';

export interface Violation {
  readonly pack: PackInForce;
  readonly rule: PackRule;
  /** Milliseconds since 1970: when the rule begins to apply. */
  readonly from: number;
  /** What the model would have to have. */
  readonly missing: string;
}

const known = new WeakMap<readonly PackInForce[], WeakMap<Terms, readonly Violation[]>>();

/** Everything that the packs ask of a model with these terms, now or later, and that it lacks: earliest first. */
export function violationsOf(packs: readonly PackInForce[], terms: Terms): readonly Violation[] {
  let ofPacks = known.get(packs);
  if (ofPacks === undefined) {
    ofPacks = new WeakMap();
    known.set(packs, ofPacks);
  }
  const held = ofPacks.get(terms);
  if (held !== undefined) return held;
  const violations = packs
    .flatMap((pack) =>
      pack.rules
        .filter(({ appliesTo, check }) => isMeant(appliesTo, terms) && !checkOf(check).passes(terms))
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

function isMeant(to: PackRule['appliesTo'], { kind }: Terms): boolean {
  return to === 'all' || kind === to;
}

/** The first of them that is in force; one whose date nobody can read is. */
export function violationAt(violations: readonly Violation[], now: number): Violation | undefined {
  return violations.find(({ from }) => !(now < from));
}
