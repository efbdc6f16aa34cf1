import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BatchLimits, BatchQueue, type QueueEntry } from '../../src/scheduler/batch-queue.ts';

interface Named extends QueueEntry {
  readonly name: string;
}

function entry(name: string, change: Partial<QueueEntry> = {}): Named {
  return {
    name,
    group: 'g',
    rows: 1,
    priority: 100,
    askedMs: 0,
    deadlineAtMs: Number.POSITIVE_INFINITY,
    ...change,
  };
}

function queueOf(entries: readonly Named[], maxLength = 100): BatchQueue<Named> {
  const queue = new BatchQueue<Named>(maxLength);
  for (const each of entries) queue.push(each);
  return queue;
}

const limits: BatchLimits = { maxRows: 4, delayMs: 0, preferredRows: [] };

/** Returns the joined names of the next batch, or the time at which to ask again. */
function next(queue: BatchQueue<Named>, nowMs: number, change: Partial<BatchLimits> = {}): unknown {
  const found = queue.next(nowMs, { ...limits, ...change });
  return found !== undefined && 'batch' in found
    ? found.batch.map(({ name }) => name).join('')
    : found?.wakeAtMs;
}

const many = (names: string, change: Partial<QueueEntry> = {}) =>
  [...names].map((name) => entry(name, change));

describe('BatchQueue.push()', () => {
  it('puts an entry after those of the same priority and before lower priorities', () => {
    const queue = queueOf([
      entry('a'),
      entry('b', { priority: 200 }),
      entry('c', { priority: 1 }),
      entry('d'),
      entry('e', { priority: 1 }),
    ]);
    expect(next(queue, 0, { maxRows: 9 })).toBe('ceadb');
  });

  it('returns the new entry if the queue is full, or the last entry if the new one has a higher priority', () => {
    const queue = queueOf(many('ab'), 2);
    expect(queue.push(entry('c'))?.name).toBe('c');
    expect(queue.push(entry('d', { priority: 101 }))?.name).toBe('d');
    expect(queue.push(entry('e', { priority: 99 }))?.name).toBe('b');
    expect(queue.length).toBe(2);
    expect(next(queue, 0)).toBe('ea');
  });
});

describe('BatchQueue.takeExpired()', () => {
  it('removes entries past their deadline, and keeps those exactly at it', () => {
    const queue = queueOf([entry('a', { deadlineAtMs: 9 }), entry('b', { deadlineAtMs: 10 }), entry('c')]);
    expect(queue.takeExpired(10).map(({ name }) => name)).toEqual(['a']);
    expect(next(queue, 10)).toBe('bc');
  });
});

describe('BatchQueue.next()', () => {
  it('is undefined for an empty queue', () => {
    expect(next(queueOf([]), 0)).toBeUndefined();
  });

  it('takes all entries, up to maxRows, if there is no delay', () => {
    const queue = queueOf(many('abcdef'));
    expect([next(queue, 0), next(queue, 0), next(queue, 0)]).toEqual(['abcd', 'ef', undefined]);
  });

  it('waits for more until the oldest entry has waited the delay', () => {
    const queue = queueOf([entry('a', { askedMs: 5 }), entry('b', { askedMs: 7 })]);
    expect(next(queue, 14, { delayMs: 10 })).toBe(15);
    expect(next(queue, 15, { delayMs: 10 })).toBe('ab');
  });

  it('counts the delay from the oldest entry, wherever its priority put it', () => {
    const queue = queueOf([entry('a', { askedMs: 5 }), entry('b', { askedMs: 7, priority: 1 })]);
    expect(next(queue, 15, { delayMs: 10 })).toBe('ba');
  });

  it('does not wait when the batch is full, nor when the next entry does not fit', () => {
    expect(next(queueOf(many('abcd')), 0, { delayMs: 10 })).toBe('abcd');
    expect(next(queueOf([...many('abc'), entry('d', { rows: 2 })]), 0, { delayMs: 10 })).toBe('abc');
  });

  it('takes a later entry that fits when an earlier one does not, since that delays no entry', () => {
    const queue = queueOf([
      entry('a', { rows: 3 }),
      entry('b', { rows: 2 }),
      entry('c'),
      entry('d', { rows: 2 }),
    ]);
    expect([next(queue, 0), next(queue, 0)]).toEqual(['ac', 'bd']);
  });

  it('sends the largest preferred size that is reached at once, and the rest after it', () => {
    const options = { maxRows: 8, delayMs: 10, preferredRows: [2, 4] };
    const queue = queueOf(many('abcde'));
    expect(next(queue, 0, options)).toBe('abcd');
    expect(next(queue, 0, options)).toBe(10);
    expect(next(queue, 10, options)).toBe('e');
  });

  it('sends all entries once the delay is over, whatever the preferred sizes', () => {
    const options = { maxRows: 8, delayMs: 10, preferredRows: [4] };
    expect(next(queueOf(many('abcde')), 10, options)).toBe('abcde');
  });

  it('sends a batch that has exceeded the largest preferred size without having it', () => {
    const options = { maxRows: 8, delayMs: 10, preferredRows: [4] };
    expect(next(queueOf(many('ab', { rows: 3 })), 0, options)).toBe('ab');
    expect(next(queueOf(many('a', { rows: 3 })), 0, options)).toBe(10);
  });

  it('does not wait beyond the deadline of an entry in the batch', () => {
    const queue = () => queueOf([entry('a'), entry('b', { askedMs: 1, deadlineAtMs: 6 })]);
    expect(next(queue(), 2, { delayMs: 10 })).toBe('ab');
    expect(next(queue(), 2, { delayMs: 5 })).toBe(5);
  });

  it('sends entries larger than maxRows, and entries without a group, alone', () => {
    const queue = queueOf([
      entry('a', { rows: 9 }),
      entry('b', { rows: 9 }),
      entry('c', { group: undefined }),
      entry('d', { group: undefined }),
    ]);
    for (const name of 'abcd') expect(next(queue, 0, { delayMs: 10 })).toBe(name);
  });

  it('keeps groups apart, and sends one group while another waits', () => {
    const queue = queueOf([entry('a'), ...many('bcde', { group: 'h' }), entry('f')]);
    expect(next(queue, 0, { delayMs: 10 })).toBe('bcde');
    expect(next(queue, 0, { delayMs: 10 })).toBe(10);
    expect(next(queue, 10, { delayMs: 10 })).toBe('af');
  });

  const anyEntry = fc.record({
    group: fc.constantFrom('g', 'h', undefined),
    rows: fc.integer({ min: 1, max: 6 }),
    priority: fc.integer({ min: 1, max: 3 }),
    askedMs: fc.integer({ min: 0, max: 20 }),
    deadlineAtMs: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 20, max: 40 })),
  });
  const anyLimits = fc.record({
    maxRows: fc.integer({ min: 1, max: 8 }),
    delayMs: fc.constantFrom(0, 5, 15),
    preferredRows: fc.subarray([2, 3, 4, 6]),
  });

  it('sends every entry once, with its own group, by priority, within maxRows', () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { maxLength: 30 }), anyLimits, (entries, bounds) => {
        const named = entries
          .toSorted((one, other) => one.askedMs - other.askedMs)
          .map((each, index) => entry(String(index), each));
        const queue = queueOf(named);
        const sent: string[] = [];
        // The first delays are over by then.
        let nowMs = 20;
        for (let found = queue.next(nowMs, bounds); found !== undefined; found = queue.next(nowMs, bounds)) {
          if ('wakeAtMs' in found) {
            expect(found.wakeAtMs).toBeGreaterThan(nowMs);
            expect(found.wakeAtMs).toBeLessThanOrEqual(20 + bounds.delayMs);
            nowMs = found.wakeAtMs;
            continue;
          }
          const { batch } = found;
          const rows = batch.reduce((sum, each) => sum + each.rows, 0);
          expect(batch.length === 1 || rows <= bounds.maxRows).toBe(true);
          expect(new Set(batch.map(({ group }) => group)).size).toBe(1);
          expect(batch.length === 1 || batch[0]?.group !== undefined).toBe(true);
          const order = batch.map(({ priority, name }) => priority * 1000 + Number(name));
          expect(order).toEqual(order.toSorted((one, other) => one - other));
          const left = named.filter(
            ({ name, group }) =>
              group === batch[0]?.group && !sent.includes(name) && !batch.some((each) => each.name === name),
          );
          const [head] = batch;
          // No entry left in the group may come before the first of the batch.
          for (const each of left) {
            const before =
              (each.priority - (head?.priority ?? 0)) * 1000 + Number(each.name) - Number(head?.name);
            expect(before).toBeGreaterThan(0);
          }
          sent.push(...batch.map(({ name }) => name));
        }
        expect(sent.toSorted()).toEqual(named.map(({ name }) => name).toSorted());
      }),
    );
  });
});
