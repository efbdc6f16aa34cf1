/** The log as the worker's isolates use it: places from the Durable Object, files from R2 itself. */
import { Lru } from '../async/lru.ts';
import { EdgewiseError } from '../errors.ts';
import { receiptLog } from '../governance/log/receipt-log.ts';
import { parseTilePath, tileWidth } from '../governance/log/tiles.ts';
import type { ReceiptLog } from '../governance/log/types.ts';
import type { Answer, TransparencyLog } from './log.ts';
import { r2LogObjects } from './log-objects.ts';

export interface DurableObjectLogOptions {
  readonly namespace: DurableObjectNamespace<TransparencyLog>;
  readonly bucket: R2Bucket;
  /** Of the object: one log, one name. */
  readonly name?: string;
  /** Full tiles held, for the proofs of this isolate: they never change. */
  readonly maxCachedBytes?: number;
}

export function durableObjectLog(options: DurableObjectLogOptions): ReceiptLog {
  const { namespace, bucket, name = 'log', maxCachedBytes = 1024 * 1024 } = options;
  const objects = r2LogObjects(bucket);
  const fullTiles = new Lru<string, Uint8Array<ArrayBuffer>>({ maxBytes: maxCachedBytes });
  // A stub that has failed stays broken, so each call has its own.
  const stub = () => namespace.getByName(name);

  async function read(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
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
      kept: async (index) => unwrap(await stub().kept(index)),
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
