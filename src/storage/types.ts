/**
 * The two storage promises. Blobs are large, immutable and named by their content; state is small and changed by
 * compare-and-swap. Every driver passes the contract suites in `test/storage/`.
 */

/** `sha256:` and 64 lower-case hex digits. */
export type Digest = `sha256:${string}`;

export interface BlobStore {
  /** Names the tier in headers, metrics and logs: `r2`, `kv`, `cache`, `fs`, `memory`, `tiered`. */
  readonly name: string;
  /**
   * The bytes stored under `digest`, or undefined. A driver does not check them; `verified` and `tiered` do.
   */
  get(digest: Digest): Promise<Uint8Array<ArrayBuffer> | undefined>;
  has(digest: Digest): Promise<boolean>;
  /**
   * Stores `bytes`. Durable once the promise resolves; storing the same digest again is harmless.
   *
   * @throws EdgewiseError `too_large` above the driver's limit.
   */
  put(digest: Digest, bytes: Uint8Array): Promise<void>;
  /** Removes the blob; absent is not an error. */
  delete(digest: Digest): Promise<void>;
}

export interface StateEntry {
  readonly value: string;
  /** Changes with every write. Opaque. */
  readonly etag: string;
}

/** `absent`: only when nothing is stored. An etag: only when it is still the current one. */
export type WriteCondition = { readonly ifAbsent: true } | { readonly ifMatch: string };

export interface StateStore {
  readonly name: string;
  get(key: string): Promise<StateEntry | undefined>;
  /** The new etag, or undefined when the condition did not hold and nothing was written. */
  put(key: string, value: string, condition: WriteCondition): Promise<string | undefined>;
  /** True when the key held `ifMatch` and is now gone. */
  delete(key: string, condition: { readonly ifMatch: string }): Promise<boolean>;
  /** Keys that start with `prefix`, ascending by UTF-16 code unit. */
  list(prefix: string): Promise<readonly string[]>;
}
