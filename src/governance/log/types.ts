/** The contract of the transparency log and its records. Every driver passes the suite in `test/governance/log/contract.ts`. */
import type { Bytes } from '../../bytes.ts';

/** What the public log stores for a receipt: only its hash, a pseudonymous meter tag and a number of units. */
export interface LogEntry {
  /** SHA-256 over the receipt's compact JWS, as ASCII. */
  readonly receiptHash: Bytes;
  /** 16 bytes; equal for all receipts of one meter in one month. */
  readonly meterTag: Bytes;
  /** 0 to 2³² − 1. */
  readonly units: number;
}

/** One entry on its way into the log, with the receipt that is kept for later retrieval. */
export interface LogRecord {
  /** Id of the receipt. */
  readonly id: string;
  /** The encoded entry (`encodeEntry`): the data of the leaf, which RFC 6962 §2.1 hashes after a zero byte. */
  readonly entry: Bytes;
  /** The receipt, encrypted with the tenant's key; absent if it is not kept. */
  readonly sealed?: Bytes | undefined;
}

/** The position of one entry and its proof, as in a C2SP tlog-proof. */
export interface LogProof {
  readonly index: number;
  /** Audit path (RFC 6962 §2.1.1), from the leaf up. */
  readonly path: readonly Bytes[];
  /** Signed note of a checkpoint that covers the entry. */
  readonly checkpoint: string;
}

/** Sealed receipts of consecutive entries. */
export interface SealedPage {
  /** Undefined for entries whose receipt is not kept. */
  readonly sealed: readonly (Bytes | undefined)[];
  /** Index of the next entry; undefined at the end of the log. */
  readonly next: number | undefined;
}

export interface ReceiptLog {
  /**
   * Stores the records durably; they enter the log in this order. A receipt whose hash is already in the log keeps its
   * position and its entry.
   *
   * @throws EdgewiseError `invalid_request` if a record is malformed, and then no record is stored; `overloaded` while too
   * many entries wait.
   */
  append(records: readonly LogRecord[]): Promise<void>;
  /**
   * Returns the proof for the receipt with this hash, against the checkpoint with the most cosignatures. Waits up to
   * `waitMs` for a published checkpoint that covers the receipt, and returns undefined if there is none by then.
   */
  prove(receiptHash: Bytes, waitMs: number): Promise<LogProof | undefined>;
  /** Returns the sealed receipt with this id; undefined if it is not kept. */
  findSealed(id: string): Promise<Bytes | undefined>;
  /** Returns the sealed receipts from entry `index` to the end of its bundle. Used to find the receipts of a data subject. */
  listSealed(index: number): Promise<SealedPage>;
  /**
   * Returns a static file of the log (C2SP tlog-tiles), such as `checkpoint`, `tile/0/000` or `tile/entries/000.p/5`;
   * undefined if it does not exist.
   */
  readFile(path: string): Promise<Bytes | undefined>;
  /**
   * Adds witnesses' signatures to a checkpoint. `note` is one of the last thousand checkpoints with its cosignatures, or
   * signature lines alone, which apply to the latest checkpoint.
   *
   * @throws EdgewiseError `invalid_request` if no signature is from a configured witness, or one is wrong; `conflict` if
   * the log does not have the checkpoint, or no longer has it.
   */
  cosign(note: string): Promise<void>;
}
