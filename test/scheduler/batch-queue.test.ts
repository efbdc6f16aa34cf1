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

function filled(entries: readonly Named[], maxLength = 100): BatchQueue<Named> {
  const queue = new BatchQueue<Named>(maxLength);
  for (const each of entries) queue.push(each);
  return queue;
}

const limits: BatchLimits = { maxRows: 4, delayMs: 0, preferredRows: [] };

/** The names that go together now, or when to look again. */
function next(queue: BatchQueue<Named>, nowMs: number, change: Partial<BatchLimits> = {}): unknown {
  const found = queue.next(nowMs, { ...limits, ...change });
  return found !== undefined && 'batch' in found
    ? found.batch.map(({ name }) => name).join('')
    : found?.wakeAtMs;
}

const many = (names: string, change: Partial<QueueEntry> = {}) =>
  [...names].map((name) => entry(name, change));

describe('BatchQueue.push()', () => {
  it('puts an entry behind those of its priority and before lower ones', () => {
    const queue = filled([
      entry('a'),
      entry('b', { priority: 200 }),
      entry('c', { priority: 1 }),
      entry('d'),
      entry('e', { priority: 1 }),
    ]);
    expect(next(queue, 0, { maxRows: 9 })).toBe('ceadb');
  });

  it('gives back the newcomer of a full queue, or the last entry where the newcomer is of a higher priority', () => {
    const queue = filled(many('ab'), 2);
    expect(queue.push(entry('c'))?.name).toBe('c');
    expect(queue.push(entry('d', { priority: 101 }))?.name).toBe('d');
    expect(queue.push(entry('e', { priority: 99 }))?.name).toBe('b');
    expect(queue.length).toBe(2);
    expect(next(queue, 0)).toBe('ea');
  });
});

describe('BatchQueue.takeExpired()', () => {
  it('takes what is too late, and leaves what is just in time', () => {
    const queue = filled([entry('a', { deadlineAtMs: 9 }), entry('b', { deadlineAtMs: 10 }), entry('c')]);
    expect(queue.takeExpired(10).map(({ name }) => name)).toEqual(['a']);
    expect(next(queue, 10)).toBe('bc');
  });
});

describe('BatchQueue.next()', () => {
  it('is undefined for an empty queue', () => {
    expect(next(filled([]), 0)).toBeUndefined();
  });

  it('takes all that gathered, up to maxRows, where there is no delay', () => {
    const queue = filled(many('abcdef'));
    expect([next(queue, 0), next(queue, 0), next(queue, 0)]).toEqual(['abcd', 'ef', undefined]);
  });

  it('waits the delay of the oldest for more, and no longer', () => {
    const queue = filled([entry('a', { askedMs: 5 }), entry('b', { askedMs: 7 })]);
    expect(next(queue, 14, { delayMs: 10 })).toBe(15);
    expect(next(queue, 15, { delayMs: 10 })).toBe('ab');
  });

  it('goes by the oldest, wherever priority has put it', () => {
    const queue = filled([entry('a', { askedMs: 5 }), entry('b', { askedMs: 7, priority: 1 })]);
    expect(next(queue, 15, { delayMs: 10 })).toBe('ba');
  });

  it('does not wait when it is full, nor when the next does not fit', () => {
    expect(next(filled(many('abcd')), 0, { delayMs: 10 })).toBe('abcd');
    expect(next(filled([...many('abc'), entry('d', { rows: 2 })]), 0, { delayMs: 10 })).toBe('abc');
  });

  it('lets a later one pass that fits where an earlier one does not: that one loses nothing by it', () => {
    const queue = filled([
      entry('a', { rows: 3 }),
      entry('b', { rows: 2 }),
      entry('c'),
      entry('d', { rows: 2 }),
    ]);
    expect([next(queue, 0), next(queue, 0)]).toEqual(['ac', 'bd']);
  });

  it('sends a preferred size at once, the largest that is reached, and the rest after it', () => {
    const options = { maxRows: 8, delayMs: 10, preferredRows: [2, 4] };
    const queue = filled(many('abcde'));
    expect(next(queue, 0, options)).toBe('abcd');
    expect(next(queue, 0, options)).toBe(10);
    expect(next(queue, 10, options)).toBe('e');
  });

  it('sends all that gathered once the delay is over, preferred size or not', () => {
    const options = { maxRows: 8, delayMs: 10, preferredRows: [4] };
    expect(next(filled(many('abcde')), 10, options)).toBe('abcde');
  });

  it('sends what has passed the largest preferred size without meeting it', () => {
    const options = { maxRows: 8, delayMs: 10, preferredRows: [4] };
    expect(next(filled(many('ab', { rows: 3 })), 0, options)).toBe('ab');
    expect(next(filled(many('a', { rows: 3 })), 0, options)).toBe(10);
  });

  it('does not wait for others until one of its own is too late', () => {
    const queue = () => filled([entry('a'), entry('b', { askedMs: 1, deadlineAtMs: 6 })]);
    expect(next(queue(), 2, { delayMs: 10 })).toBe('ab');
    expect(next(queue(), 2, { delayMs: 5 })).toBe(5);
  });

  it('sends what is larger than maxRows alone, and what belongs to no group', () => {
    const queue = filled([
      entry('a', { rows: 9 }),
      entry('b', { rows: 9 }),
      entry('c', { group: undefined }),
      entry('d', { group: undefined }),
    ]);
    for (const name of 'abcd') expect(next(queue, 0, { delayMs: 10 })).toBe(name);
  });

  it('keeps groups apart, and sends one that need not wait while another does', () => {
    const queue = filled([entry('a'), ...many('bcde', { group: 'h' }), entry('f')]);
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

  it('sends every entry once, in its group alone, by priority, and none beyond maxRows', () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { maxLength: 30 }), anyLimits, (entries, wanted) => {
        const named = entries
          .toSorted((one, other) => one.askedMs - other.askedMs)
          .map((each, index) => entry(String(index), each));
        const queue = filled(named);
        const sent: string[] = [];
        // Delays are over by then, so that nothing keeps waiting.
        let nowMs = 20;
        for (let found = queue.next(nowMs, wanted); found !== undefined; found = queue.next(nowMs, wanted)) {
          if ('wakeAtMs' in found) {
            expect(found.wakeAtMs).toBeGreaterThan(nowMs);
            expect(found.wakeAtMs).toBeLessThanOrEqual(20 + wanted.delayMs);
            nowMs = found.wakeAtMs;
            continue;
          }
          const { batch } = found;
          const rows = batch.reduce((sum, each) => sum + each.rows, 0);
          expect(batch.length === 1 || rows <= wanted.maxRows).toBe(true);
          expect(new Set(batch.map(({ group }) => group)).size).toBe(1);
          expect(batch.length === 1 || batch[0]?.group !== undefined).toBe(true);
          const order = batch.map(({ priority, name }) => priority * 1000 + Number(name));
          expect(order).toEqual(order.toSorted((one, other) => one - other));
          const left = named.filter(
            ({ name, group }) =>
              group === batch[0]?.group && !sent.includes(name) && !batch.some((each) => each.name === name),
          );
          const [head] = batch;
          // Nobody of its group who is left should have gone before its first.
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
