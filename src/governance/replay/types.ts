/** What a re-run is asked for, what it needs, and what it finds. */
import type { RuntimeIdentity } from '../../engine/types.ts';
import type { StoredManifest } from '../../repository/documents.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
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

/** The runtime refuses these inputs. */
export interface Refused {
  readonly refused: string;
  /** Where that is known. */
  readonly runtime?: RuntimeIdentity | undefined;
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

/** What a platform gives to replay with. */
export interface ReplayMeans {
  /** The model, by the digests of its manifest and signature, both checked. */
  model(wanted: ReceiptModel): Promise<StoredManifest | Missing>;
  /**
   * Computes the outputs again. A platform without the runtime that the route names may say so before, or compute with what
   * it has: that is looked at.
   *
   * @throws EdgewiseError where it could not be run this time, which says nothing of the answer.
   */
  run(model: StoredManifest, rerun: Rerun): Promise<Computed | Missing | Refused>;
}

/** What a verdict receipt says of the re-run. */
export type ReplayFinding = Omit<VerdictReceipt['dispute'], 'receipt' | 'hash'>;
