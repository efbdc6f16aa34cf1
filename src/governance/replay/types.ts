/** What a re-run is asked for, what it needs, and what it finds. */
import type { RuntimeIdentity } from '../../engine/types.ts';
import type { NamedTensors } from '../receipt/canonical-tensors.ts';
import type { InferenceReceipt, Receipt, ReceiptModel, VerdictReceipt } from '../receipt/schema.ts';

/** An answer that is doubted, as its caller kept it. */
export interface DisputedAnswer {
  /** Its signature was verified. */
  readonly receipt: Receipt;
  /** base64url, as in the header `Edgewise-Receipt-Salt`; not looked at where the receipt commits to nothing. */
  readonly salt: string;
  readonly inputs: NamedTensors;
  /** Needed where an answer can be held against another within a tolerance only. */
  readonly outputs?: NamedTensors | undefined;
}

/** Why something cannot be had, in words for the verdict. */
export interface Missing {
  readonly missing: string;
}

export interface Rerun {
  readonly inputs: NamedTensors;
  /** Names of the outputs that the receipt is about. */
  readonly outputs: readonly string[];
  readonly route: InferenceReceipt['route'];
}

export interface Computed {
  readonly outputs: NamedTensors;
  /** What computed them. */
  readonly runtime: RuntimeIdentity;
}

/** What a platform gives to replay with. `M` is the model as the platform holds it. */
export interface ReplayMeans<M> {
  /** The model, by the digests of its manifest and signature, both checked. */
  model(wanted: ReceiptModel): Promise<M | Missing>;
  /**
   * Computes the outputs again. A platform without the runtime that the route names may say so before, or compute with what
   * it has: that is looked at.
   *
   * @throws EdgewiseError `invalid_request` or `shape_mismatch` where the model refuses these inputs; others where it could
   * not be run this time, which says nothing of the answer.
   */
  run(model: M, rerun: Rerun): Promise<Computed | Missing>;
}

/** What a verdict receipt says of the re-run. */
export type Finding = Omit<VerdictReceipt['dispute'], 'receipt' | 'hash'>;
