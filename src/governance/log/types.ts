/** What the transparency log promises, and what goes into it. Every driver passes the contract suite in `test/governance/log/`. */

/** What the public log holds of a receipt: nothing but its hash, a pseudonymous meter and a number. */
export interface LogEntry {
  /** SHA-256 of the receipt as signed: the ASCII bytes of its compact JWS. */
  readonly receiptHash: Uint8Array<ArrayBuffer>;
  /** 16 bytes: the same for all receipts of one meter in one month. */
  readonly meterTag: Uint8Array<ArrayBuffer>;
  /** 0 to 2³² − 1. */
  readonly units: number;
}

/** One entry on its way into the log, with the receipt to be kept for who asks for it. */
export interface LogRecord {
  /** Of the receipt. */
  readonly id: string;
  /** `encodeEntry` of its entry: the leaf's data (RFC 6962 §2.1 hashes it with a zero byte in front). */
  readonly entry: Uint8Array<ArrayBuffer>;
  /** The receipt, encrypted under the tenant's key; absent where it is not to be kept. */
  readonly sealed?: Uint8Array<ArrayBuffer> | undefined;
}

/** Position of one entry and what proves it: one C2SP tlog-proof. */
export interface LogProof {
  readonly index: number;
  /** Audit path (RFC 6962 §2.1.1), from the leaf up. */
  readonly path: readonly Uint8Array<ArrayBuffer>[];
  /** Signed note of a checkpoint whose tree holds the entry. */
  readonly checkpoint: string;
}

/** Sealed receipts of entries that stand one after another. */
export interface SealedPage {
  /** Undefined where none is kept. */
  readonly sealed: readonly (Uint8Array<ArrayBuffer> | undefined)[];
  /** Index of the entry after them; undefined at the end of the log. */
  readonly next: number | undefined;
}

export interface ReceiptLog {
  /**
   * Durable once the promise resolves: every record will be in the log, in this order. A receipt whose hash is already
   * there keeps its place and its entry.
   *
   * @throws EdgewiseError `invalid_request` for a record that is not usable, of which nothing is taken; `overloaded` when
   * it takes no more for now.
   */
  append(records: readonly LogRecord[]): Promise<void>;
  /**
   * The proof for the receipt with this hash, to a checkpoint with the most cosignatures; waits until it is in a published
   * one, at most `waitMs`. Undefined where it is not in the log then.
   */
  prove(receiptHash: Uint8Array<ArrayBuffer>, waitMs: number): Promise<LogProof | undefined>;
  /** The sealed receipt with this id; undefined where none is kept. */
  sealed(id: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /**
   * The sealed receipts from the entry `index` on, as far as they are kept together: for who looks for those of a subject.
   */
  sealedFrom(index: number): Promise<SealedPage>;
  /**
   * A file of the log's static part (C2SP tlog-tiles): `checkpoint`, `tile/0/000`, `tile/entries/000.p/5`. Undefined where
   * there is none.
   */
  file(path: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /**
   * Adds witnesses' signatures to a checkpoint: to one of the last thousand, given with it, or to the latest, given alone
   * as signature lines.
   *
   * @throws EdgewiseError `invalid_request` when none is of a configured witness, or one is not good; `conflict` for a
   * checkpoint that the log does not hold (any more).
   */
  cosign(note: string): Promise<void>;
}
