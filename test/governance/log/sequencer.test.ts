import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex, utf8 } from '../../../src/bytes.ts';
import { readLogKeys } from '../../../src/governance/log/keys.ts';
import { formatSignatureLine, parseNote } from '../../../src/governance/log/note.ts';
import { Sequencer } from '../../../src/governance/log/sequencer.ts';
import type { LogObjects, LogState } from '../../../src/governance/log/store.ts';
import { bundleEntries, newTiles, tileHashes } from '../../../src/governance/log/tiles.ts';
import type { LogRecord } from '../../../src/governance/log/types.ts';
import { testGovernanceBindings, testLogKey, testWitnesses } from '../../support/governance-keys.ts';
import { memoryLogObjects, memoryLogState } from '../../support/memory-log-store.ts';
import { parseCosignerKey } from '../../support/witness.ts';
import { Crash, type Fault, faultyStores } from './faulty-store.ts';
import { oracleOf } from './oracle.ts';
import { hashOf, recordsOf } from './records.ts';

const keys = readLogKeys({ logKey: testLogKey, witnesses: testGovernanceBindings.EDGEWISE_WITNESSES });
const sequencerOver = async (state: LogState, objects: LogObjects, maxRoundEntries = 4096) =>
  new Sequencer({ state, objects, ...(await keys), maxRoundEntries });

const records = recordsOf(0, 560);
const oracle = records.then((all) => oracleOf(all.map(({ entry }) => entry)));

const checkpointIn = async (objects: LogObjects) =>
  new TextDecoder().decode((await objects.get('checkpoint'))?.bytes);

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

describe('a sequencer whose state was rolled back', () => {
  const filled = async (count: number, objects: LogObjects, from = 0) => {
    const state = memoryLogState();
    state.append((await recordsOf(from, from + count)).slice(0, count));
    const sequencer = await sequencerOver(state, objects);
    return { state, sequencer };
  };

  it.each([
    ['behind the published size', 3],
    ['at the published size, with other entries', 10],
    ['ahead of the published size, with other entries', 20],
  ])('%s, refuses its rounds and leaves the files unchanged', async (_, count) => {
    const objects = memoryLogObjects();
    const first = await filled(10, objects);
    await first.sequencer.round();
    const before = await checkpointIn(objects);
    const files = await objects.list('');
    // A state that committed a tree of its own to other files.
    const elsewhere = memoryLogObjects();
    const other = await filled(count, elsewhere, 100);
    await other.sequencer.round();
    other.state.append(await recordsOf(200, 205));
    const restored = await sequencerOver(other.state, objects);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await expect(restored.round()).rejects.toMatchObject({
        code: expect.stringMatching(/internal|not_found/),
      });
    }
    expect(await checkpointIn(objects)).toBe(before);
    expect(await objects.list('')).toEqual(files);
  });

  it('to nothing, refuses its rounds', async () => {
    const objects = memoryLogObjects();
    const first = await filled(10, objects);
    await first.sequencer.round();
    const empty = await filled(2, objects, 100);
    await expect(empty.sequencer.round()).rejects.toThrow(/was rolled back/);
  });

  it('does not overwrite an existing file that has other bytes', async () => {
    const objects = memoryLogObjects();
    await objects.create('tile/0/000.p/2', utf8('something else'));
    const { state, sequencer } = await filled(2, objects);
    await expect(sequencer.round()).rejects.toThrow(/other bytes/);
    expect(state.head()).toBeUndefined();
    expect(await objects.get('checkpoint')).toBeUndefined();
  });

  it('stops if a file of its tree was changed', async () => {
    const objects = memoryLogObjects();
    const { state, sequencer } = await filled(300, objects);
    await sequencer.round();
    const tile = await objects.get('tile/1/000.p/1');
    await objects.replace('tile/1/000.p/1', new Uint8Array(32), tile?.etag);
    state.append(await recordsOf(300, 301));
    await expect((await sequencerOver(state, objects)).round()).rejects.toThrow(/do not have the root/);
  });
});

describe('a checkpoint that another sequencer publishes during a round', () => {
  it('stays, and the round fails', async () => {
    const stores = faultyStores([]);
    const sequencer = await sequencerOver(stores.state, stores.objects);
    stores.state.append(await recordsOf(0, 2));
    await sequencer.round();
    const foreign = await checkpointIn(stores.objects);
    const meddled: LogObjects = {
      ...stores.objects,
      async create(path, bytes) {
        const existing = await stores.objects.get('checkpoint');
        await stores.objects.replace('checkpoint', utf8(foreign), existing?.etag);
        return stores.objects.create(path, bytes);
      },
    };
    const overtaken = await sequencerOver(stores.state, meddled);
    stores.state.append(await recordsOf(2, 4));
    await expect(overtaken.round()).rejects.toThrow(/another one was published meanwhile/);
    expect(await checkpointIn(stores.objects)).toBe(foreign);
    // The tree is committed: it is published once the existing checkpoint proves to be its prefix.
    await overtaken.ready();
    expect(await checkpointIn(stores.objects)).toContain('\n4\n');
  });
});

describe('two sequencers over one state', () => {
  it('never publish a smaller tree, even if one of them is late', async () => {
    const { faultyState: state, faultyObjects: objects, published } = faultyStores([]);
    const late = await sequencerOver(state, objects, 3);
    const other = await sequencerOver(state, objects);
    state.append(await recordsOf(0, 20));
    const both = await Promise.allSettled([other.round(), late.round()]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    while (await late.round());
    expect(published.at(-1)?.size).toBe(20);
  });

  it('publish no tree twice, and continue after the other one', async () => {
    const { faultyState: state, faultyObjects: objects, published } = faultyStores([]);
    const [one, other] = [await sequencerOver(state, objects), await sequencerOver(state, objects)];
    let failures = 0;
    for (let round = 0; round < 12; round += 1) {
      state.append(await recordsOf(round * 5, round * 5 + 5));
      const both = await Promise.allSettled([one.round(), other.round()]);
      failures += both.filter(({ status }) => status === 'rejected').length;
    }
    await one.ready().catch(() => undefined);
    await one.round();
    expect(failures).toBeGreaterThan(0);
    expect(published.at(-1)?.size).toBe(60);
    for (const { size, root } of published) expect(toHex(root)).toBe(toHex((await oracle).root(size)));
  });
});

describe('Sequencer', () => {
  it('takes a bounded number of entries in a round', async () => {
    const { faultyState: state, faultyObjects: objects, published } = faultyStores([]);
    const sequencer = await sequencerOver(state, objects, 100);
    state.append(await recordsOf(0, 250));
    expect([await sequencer.round(), await sequencer.round(), await sequencer.round()]).toEqual([
      true,
      true,
      false,
    ]);
    expect(published.map(({ size }) => size)).toEqual([100, 200, 250]);
  });

  it('writes nothing if no entry waits', async () => {
    const { faultyState: state, faultyObjects: objects, published } = faultyStores([]);
    const sequencer = await sequencerOver(state, objects);
    expect(await sequencer.round()).toBe(false);
    state.append(await recordsOf(0, 1));
    await sequencer.round();
    await sequencer.round();
    expect(published).toHaveLength(1);
  });

  it('keeps the checkpoints of the last thousand rounds, and drops older ones', async () => {
    const state = memoryLogState();
    const sequencer = await sequencerOver(state, memoryLogObjects());
    for (const record of await recordsOf(0, 1003)) {
      state.append([record]);
      await sequencer.round();
    }
    expect(state.noteOf(3)).toBeUndefined();
    expect(state.noteOf(4)).toBeDefined();
    expect(state.noteOf(1003)).toBeDefined();
  });
});

describe('a sequencer with long receipts', () => {
  it('limits the bytes of a round, and takes all receipts in the end', async () => {
    const state = memoryLogState();
    const objects = memoryLogObjects();
    const read: number[] = [];
    const counting: LogState = {
      ...state,
      rows(from, to) {
        const rows = state.rows(from, to);
        read.push(rows.length);
        return rows;
      },
    };
    const sequencer = new Sequencer({ state: counting, objects, ...(await keys), maxRoundBytes: 60_000 });
    state.append((await records).map((record) => ({ ...record, sealed: new Uint8Array(200).fill(1) })));
    const rounds: (number | undefined)[] = [];
    for (let more = true; more; ) {
      read.length = 0;
      more = await sequencer.round();
      expect(read.reduce((sum, rows) => sum + rows, 0)).toBeLessThanOrEqual(512);
      rounds.push(state.head()?.size);
    }
    expect(rounds).toEqual([512, 560]);
    expect(toHex(state.head()?.root ?? new Uint8Array())).toBe(toHex((await oracle).root(560)));
  });
});
