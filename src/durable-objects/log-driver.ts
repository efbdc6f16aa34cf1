/** The log as the worker's isolates use it: asks the Durable Object for positions, and reads files directly from R2. */

import { Lru } from '../async/lru.ts';
import type { Bytes } from '../bytes.ts';
import { EdgewiseError } from '../errors.ts';
import { receiptLog } from '../governance/log/receipt-log.ts';
import { parseTilePath, tileWidth } from '../governance/log/tiles.ts';
import type { ReceiptLog } from '../governance/log/types.ts';
import type { Answer, TransparencyLog } from './log.ts';
import { r2LogObjects } from './log-objects.ts';

export interface DurableObjectLogOptions {
  readonly namespace: DurableObjectNamespace<TransparencyLog>;
  readonly bucket: R2Bucket;
  /** Name of the Durable Object: one per log. */
  readonly name?: string;
  /** Cache of full tiles, which never change, for this isolate's proofs. */
  readonly maxCachedBytes?: number;
}

export function durableObjectLog(options: DurableObjectLogOptions): ReceiptLog {
  const { namespace, bucket, name = 'log', maxCachedBytes = 1024 * 1024 } = options;
  const objects = r2LogObjects(bucket);
  const fullTiles = new Lru<string, Bytes>({ maxBytes: maxCachedBytes });
  // A failed stub stays broken, so each call makes its own.
  const stub = () => namespace.getByName(name);

  async function read(path: string): Promise<Bytes | undefined> {
    const cached = fullTiles.get(path);
    if (cached !== undefined) return cached;
    const bytes = (await objects.get(path))?.bytes;
    if (bytes !== undefined && parseTilePath(path)?.width === tileWidth)
      fullTiles.set(path, bytes, bytes.length);
    return bytes;
  }

  return receiptLog(
    {
      append: async (records) => unwrap(await stub().append(records)),
      locate: async (receiptHash, waitMs) => unwrap(await stub().locate(receiptHash, waitMs)),
      find: async (id) => unwrap(await stub().find(id)),
      readSealed: async (index) => unwrap(await stub().readSealed(index)),
      cosign: async (note) => unwrap(await stub().cosign(note)),
    },
    read,
  );
}

function unwrap<T>(answer: Answer<T>): T {
  if ('value' in answer) return answer.value;
  const { code, message, retryAfterSeconds } = answer.refused;
  throw new EdgewiseError(code, message, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
}
