/**
 * Lays out the weights file and cuts it into chunks. ONNX Runtime reads one initializer at a time, in no fixed order, so each
 * has to be reachable without reading much else: a large initializer has chunks of its own, small ones share a pack.
 */

export const chunkLimits = {
  /** Small enough for every tier (KV holds 25 MiB) and for a worker's heap. */
  maxChunkBytes: 8 * 1024 * 1024,
  /** An initializer of at least this size has its own chunks. */
  minOwnChunkBytes: 1024 * 1024,
  maxPackBytes: 2 * 1024 * 1024,
  /** Every initializer's offset is a multiple of this: a cache line, more than any element type or SIMD load needs. */
  alignmentBytes: 64,
} as const;

export type ChunkLimits = { readonly [K in keyof typeof chunkLimits]: number };

export interface ChunkPlan {
  /** The offset of each initializer, in the order of the sizes. */
  readonly offsets: readonly number[];
  /** In order and without gaps; together they are the whole file. */
  readonly chunks: readonly { readonly offset: number; readonly byteLength: number }[];
  readonly byteLength: number;
}

/** Lays out initializers of the given sizes (bytes, each more than 0). */
export function planChunks(sizes: readonly number[], limits: ChunkLimits = chunkLimits): ChunkPlan {
  const align = (bytes: number) => Math.ceil(bytes / limits.alignmentBytes) * limits.alignmentBytes;
  const units: { readonly members: number[]; byteLength: number }[] = [];
  let pack: (typeof units)[number] | undefined;
  for (const [index, size] of sizes.entries()) {
    if (size >= limits.minOwnChunkBytes) {
      units.push({ members: [index], byteLength: align(size) });
    } else if (pack === undefined || pack.byteLength + align(size) > limits.maxPackBytes) {
      pack = { members: [index], byteLength: align(size) };
      units.push(pack);
    } else {
      pack.members.push(index);
      pack.byteLength += align(size);
    }
  }
  const offsets = new Array<number>(sizes.length).fill(0);
  const chunks: { offset: number; byteLength: number }[] = [];
  let end = 0;
  for (const unit of units) {
    let at = end;
    for (const index of unit.members) {
      offsets[index] = at;
      at += align(sizes[index] ?? 0);
    }
    for (let offset = end; offset < at; offset += limits.maxChunkBytes) {
      chunks.push({ offset, byteLength: Math.min(limits.maxChunkBytes, at - offset) });
    }
    end = at;
  }
  return { offsets, chunks, byteLength: end };
}
