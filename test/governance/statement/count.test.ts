import fc from 'fast-check';
import { base64url } from 'jose';
import { describe, expect, it } from 'vitest';
import { encodeEntry } from '../../../src/governance/log/entry.ts';
import { rootOf } from '../../../src/governance/log/merkle.ts';
import { encodeBundle, parseTilePath } from '../../../src/governance/log/tiles.ts';
import { countEntries, countTo, emptyCount, sumTallies } from '../../../src/governance/statement/count.ts';

const tagBytes = (n: number) => new Uint8Array(16).fill(n);
const tagText = (n: number) => base64url.encode(tagBytes(n));

const entries = fc.array(fc.record({ tag: fc.nat({ max: 4 }), units: fc.nat({ max: 0xffff_ffff }) }), {
  maxLength: 900,
  size: 'max',
});

function encodeEntries(list: readonly { tag: number; units: number }[]) {
  return list.map(({ tag, units }, at) => {
    const receiptHash = new Uint8Array(32);
    new DataView(receiptHash.buffer).setUint32(0, at);
    return encodeEntry({ receiptHash, meterTag: tagBytes(tag), units });
  });
}

/** Serves the log's entry bundles in any width. */
function bundlesOf(all: readonly Uint8Array<ArrayBuffer>[]) {
  return async (path: string) => {
    const ref = parseTilePath(path);
    if (ref === undefined || ref.level !== undefined) return undefined;
    return encodeBundle(all.slice(ref.index * 256, ref.index * 256 + ref.width));
  };
}

describe('countTo()', () => {
  it('sums the entries with the given tags, and no others', async () => {
    await fc.assert(
      fc.asyncProperty(entries, fc.uniqueArray(fc.nat({ max: 6 })), async (list, tags) => {
        const read = bundlesOf(encodeEntries(list));
        const count = await countTo(emptyCount, list.length, read, new Set(tags.map(tagText)));
        const mine = [...list.entries()].filter(([, { tag }]) => tags.includes(tag));
        expect(sumTallies(count.tallies.values())).toEqual({
          entries: mine.length,
          units: mine.reduce((sum, [, { units }]) => sum + units, 0),
          first: mine.at(0)?.[0] ?? Number.POSITIVE_INFINITY,
          last: mine.at(-1)?.[0] ?? Number.NEGATIVE_INFINITY,
        });
      }),
      { numRuns: 25 },
    );
  });

  it('gives the same sums and tree in one step and in many', async () => {
    await fc.assert(
      fc.asyncProperty(entries, fc.array(fc.nat({ max: 900 })), async (list, steps) => {
        const all = encodeEntries(list);
        const read = bundlesOf(all);
        const tags = new Set([tagText(1), tagText(2)]);
        let count = emptyCount;
        for (const size of [
          ...steps.filter((step) => step < list.length).sort((a, b) => a - b),
          list.length,
        ]) {
          count = await countTo(count, size, read, tags);
          expect(count.tree.size).toBe(size);
        }
        const once = countEntries(emptyCount, all, tags);
        expect(count.tallies).toEqual(once.tallies);
        expect(rootOf(count.tree)).toEqual(rootOf(once.tree));
      }),
      { numRuns: 25 },
    );
  });

  it('throws if a sum exceeds the largest exact number', () => {
    const tally = { entries: 1, units: Number.MAX_SAFE_INTEGER, first: 0, last: 0 };
    expect(() => sumTallies([tally, { ...tally, units: 1 }])).toThrow(
      expect.objectContaining({ code: 'internal' }),
    );
  });
});
