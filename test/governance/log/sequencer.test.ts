import { describe, expect, it } from 'vitest';
import { toHex, utf8 } from '../../../src/bytes.ts';
import { Sequencer } from '../../../src/governance/log/sequencer.ts';
import type { LogObjects, LogState } from '../../../src/governance/log/store.ts';
import { memoryLogObjects, memoryLogState } from '../../support/memory-log-store.ts';
import { faultyStores } from './faulty-store.ts';
import { recordsOf } from './records.ts';
import { checkpointIn, keys, oracle, records, sequencerOver } from './sequencer-fixture.ts';

describe('a sequencer whose state was rolled back', () => {
  const fillState = async (count: number, objects: LogObjects, from = 0) => {
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
    const first = await fillState(10, objects);
    await first.sequencer.round();
    const before = await checkpointIn(objects);
    const files = await objects.list('');
    // A state that committed a tree of its own to other files.
    const elsewhere = memoryLogObjects();
    const other = await fillState(count, elsewhere, 100);
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
    const first = await fillState(10, objects);
    await first.sequencer.round();
    const empty = await fillState(2, objects, 100);
    await expect(empty.sequencer.round()).rejects.toThrow(/was rolled back/);
  });

  it('does not overwrite an existing file that has other bytes', async () => {
    const objects = memoryLogObjects();
    await objects.create('tile/0/000.p/2', utf8('something else'));
    const { state, sequencer } = await fillState(2, objects);
    await expect(sequencer.round()).rejects.toThrow(/other bytes/);
    expect(state.head()).toBeUndefined();
    expect(await objects.get('checkpoint')).toBeUndefined();
  });

  it('stops if a file of its tree was changed', async () => {
    const objects = memoryLogObjects();
    const { state, sequencer } = await fillState(300, objects);
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
