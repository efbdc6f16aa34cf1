/** The input, the platform interface and the result of a re-run. */
import type { RuntimeIdentity } from '../../engine/types.ts';
import type { StoredManifest } from '../../repository/documents.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
import type { InferenceReceipt, Receipt, ReceiptModel, VerdictReceipt } from '../receipt/schema.ts';

/** A disputed answer, as its caller kept it. */
export interface DisputedAnswer {
  /** The receipt, whose signature was verified. */
  readonly receipt: Receipt;
  /** base64url, as in the header `Edgewise-Receipt-Salt`; unused if the receipt has no commitments. */
  readonly salt: string;
  readonly inputs: NamedTensors;
  /** Needed if the answer can only be compared within a tolerance. */
  readonly outputs?: NamedTensors | undefined;
}

/** Why evidence is missing, as text for the verdict. */
export interface MissingEvidence {
  readonly missing: string;
}

/** The runtime refuses these inputs. */
export interface RefusedInputs {
  readonly refused: string;
  /** The runtime that refused, if known. */
  readonly runtime?: RuntimeIdentity | undefined;
}

export interface Rerun {
  readonly inputs: NamedTensors;
  /** Names of the outputs in the receipt. */
  readonly outputs: readonly string[];
  readonly route: InferenceReceipt['route'];
}

export interface RerunResult {
  readonly outputs: NamedTensors;
  /** The runtime that computed the outputs. */
  readonly runtime: RuntimeIdentity;
}

/** What a platform provides for a re-run. */
export interface ReplayMeans {
  /** Finds the model by the digests of its manifest and signature, and verifies both. */
  model(reference: ReceiptModel): Promise<StoredManifest | MissingEvidence>;
  /**
   * Computes the outputs again. A platform without the runtime of the route may return missing evidence, or use another
   * runtime: `replay` takes that into account.
   *
   * @throws EdgewiseError if the run failed, which says nothing about the answer.
   */
  run(model: StoredManifest, rerun: Rerun): Promise<RerunResult | MissingEvidence | RefusedInputs>;
}

/** What a verdict receipt says about the re-run. */
export type ReplayFinding = Omit<VerdictReceipt['dispute'], 'receipt' | 'hash'>;
