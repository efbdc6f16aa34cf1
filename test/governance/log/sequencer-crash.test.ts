import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/bytes.ts';
import { formatSignatureLine, parseNote } from '../../../src/governance/log/note.ts';
import { bundleEntries, newTiles, tileHashes } from '../../../src/governance/log/tiles.ts';
import type { LogRecord } from '../../../src/governance/log/types.ts';
import { testWitnesses } from '../../support/governance-keys.ts';
import { parseCosignerKey } from '../../support/witness.ts';
import { Crash, type Fault, faultyStores } from './faulty-store.ts';
import { hashOf } from './records.ts';
import { checkpointIn, oracle, records, sequencerOver } from './sequencer-fixture.ts';

/** One step in the life of a log: entries arrive, a round runs, or a witness signs. */
type Step = { readonly append: readonly LogRecord[] } | 'round' | 'cosign';

async function life(): Promise<Step[]> {
  const all = await records;
  return [
    { append: all.slice(0, 3) },
    'round',
    'cosign',
    { append: all.slice(3, 254) },
    { append: all.slice(250, 258) },
    'round',
    'round',
    'cosign',
    { append: all.slice(258, 560) },
    'round',
  ];
}

/** Runs all steps over failing stores and repeats a step that failed. If `isCrash`, each failure also loses everything in memory. */
async function survive(faults: readonly Fault[], isCrash = true) {
  const stores = faultyStores(faults);
  const { faultyState: state, faultyObjects: objects } = stores;
  const [witness] = testWitnesses;
  const cosigner = await parseCosignerKey(witness.privateKey, () => 1_800_000_000);
  let sequencer = await sequencerOver(state, objects, 200);
  const run = async (step: Step) => {
    if (step === 'round') {
      while (await sequencer.round());
    } else if (step === 'cosign') {
      const { text } = parseNote(await checkpointIn(stores.objects));
      await sequencer.cosign(`${text}\n${formatSignatureLine(await cosigner.sign(text))}\n`);
    } else {
      state.append(step.append);
    }
  };
  for (const step of await life()) {
    for (let isDone = false; !isDone; ) {
      try {
        await run(step);
        isDone = true;
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
        if (isCrash) sequencer = await sequencerOver(state, objects, 200);
      }
    }
    await expectAllFiles(stores);
  }
  return stores;
}

/** All files of the published tree must exist at any moment. */
async function expectAllFiles({ objects, published }: ReturnType<typeof faultyStores>): Promise<void> {
  const size = published.at(-1)?.size ?? 0;
  const read = async (path: string) => (await objects.get(path))?.bytes;
  await Promise.all(
    newTiles(0, size).map((ref) =>
      ref.level === undefined ? bundleEntries(ref, read) : tileHashes(ref, read),
    ),
  );
}

async function expectNothingLost({
  state,
  objects,
  published,
}: ReturnType<typeof faultyStores>): Promise<void> {
  const roots = new Map<number, string>();
  for (const [at, { size, root }] of published.entries()) {
    // Never two roots for one size, never a smaller tree, and each tree a prefix of the one true order.
    expect(roots.get(size) ?? toHex(root)).toBe(toHex(root));
    expect(size).toBeGreaterThanOrEqual(published[at - 1]?.size ?? 0);
    expect(toHex(root)).toBe(toHex((await oracle).root(size)));
    roots.set(size, toHex(root));
  }
  expect(published.at(-1)?.size).toBe(560);
  for (let n = 0; n < 560; n += 1) expect(state.indexOf(await hashOf(n))).toBe(n);
  const read = async (path: string) => (await objects.get(path))?.bytes;
  const bundles = newTiles(0, 560).filter(({ level }) => level === undefined);
  const entries = (await Promise.all(bundles.map((ref) => bundleEntries(ref, read)))).flat();
  expect(entries.map(toHex)).toEqual((await records).map(({ entry }) => toHex(entry)));
  expect(await objects.list('receipts/')).toEqual(['receipts/000', 'receipts/001']);
}

describe('a sequencer whose process crashes at any operation', () => {
  it.each([false, true])(
    'loses nothing and signs one root for a size (the operation took effect: %j)',
    async (isDone) => {
      let isOver = false;
      for (let afterOperations = 0; !isOver; afterOperations += 1) {
        const stores = await survive([{ afterOperations, isDone }]);
        await expectNothingLost(stores);
        isOver = stores.crashes() === 0;
        if (isOver) expect(afterOperations).toBeGreaterThan(60);
      }
    },
    120_000,
  );

  it.each([false, true])(
    'recovers without a restart if only its stores fail (the operation took effect: %j)',
    async (isDone) => {
      for (let afterOperations = 0; afterOperations < 70; afterOperations += 1) {
        await expectNothingLost(await survive([{ afterOperations, isDone }], false));
      }
    },
    120_000,
  );

  it('loses nothing in repeated crashes', async () => {
    const fault = fc.record({ afterOperations: fc.nat(25), isDone: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(fault, { minLength: 1, maxLength: 12 }), async (faults) => {
        await expectNothingLost(await survive(faults));
      }),
      { numRuns: 40 },
    );
  }, 120_000);
});
