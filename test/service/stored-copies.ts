/** The files in which wrangler's simulators keep what the tiers store: one per blob, its bytes as they are. */
import { createHash } from 'node:crypto';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../src/storage/types.ts';

export type SimulatedTier = 'cache' | 'kv' | 'r2';

/** Paths of the right copies of a blob in a tier; empty when it has none. */
export function copiesIn(state: string, tier: SimulatedTier, digest: Digest): readonly string[] {
  return globSync(join(state, 'v3', tier, '*', 'blobs', '*')).filter((path) => digestOfFile(path) === digest);
}

/** Flips the lowest bit of the byte in the middle. */
export function flipBit(path: string): void {
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  writeFileSync(path, bytes);
}

function digestOfFile(path: string): string {
  return `sha256:${createHash('sha256').update(readFileSync(path)).digest('hex')}`;
}
