/** The files of wrangler's simulators that hold the blobs of each tier: one file per blob, with the blob's bytes. */
import { createHash } from 'node:crypto';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../src/storage/types.ts';

export type SimulatedTier = 'cache' | 'kv' | 'r2';

/** Returns the paths of intact copies of a blob in a tier; empty if there are none. */
export function copiesIn(state: string, tier: SimulatedTier, digest: Digest): readonly string[] {
  return globSync(join(state, 'v3', tier, '*', 'blobs', '*')).filter((path) => digestOfFile(path) === digest);
}

/** Flips the lowest bit of the middle byte. */
export function flipBit(path: string): void {
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  writeFileSync(path, bytes);
}

function digestOfFile(path: string): string {
  return `sha256:${createHash('sha256').update(readFileSync(path)).digest('hex')}`;
}
