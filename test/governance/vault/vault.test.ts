import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { importRecordsKeys } from '../../../src/governance/vault/records-keys.ts';
import {
  anonymousSubject,
  type Subject,
  subjectOfVaultKey,
  tenantSubject,
  vaultKey,
} from '../../../src/governance/vault/subject.ts';
import type { StateStore } from '../../../src/storage/types.ts';
import { bytesOf, isolates, newRecordsKeys, newRecordsKeyText, noon, textOf } from './harness.ts';

const keys = await newRecordsKeys();
const t42 = tenantSubject('t42');

const subjects = fc.oneof(
  fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/).map(tenantSubject),
  fc.integer({ min: 0, max: 4e12 }).map(anonymousSubject),
);
const contexts = fc.string({ maxLength: 40 });
const contents = fc.uint8Array({ maxLength: 300 }).map((bytes) => new Uint8Array(bytes));

describe('subjects', () => {
  it('are found by the state key of their wrapped key', () => {
    fc.assert(fc.property(subjects, (subject) => subjectOfVaultKey(vaultKey(subject)) === subject));
  });

  it('are a month, by UTC, if there is no tenant', () => {
    expect(anonymousSubject(noon)).toBe('anonymous/2026-11');
    expect(anonymousSubject(Date.UTC(2026, 10, 1) - 1)).toBe('anonymous/2026-10');
  });

  it.each(['', 'T42', 'a/b', '../x', 'a\0b', 'x'.repeat(49)])('cannot be the tenant %j', (id) => {
    expect(() => tenantSubject(id)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});

describe('pseudonym()', () => {
  it('is the same in every isolate and under every records key, and differs by name and subject', async () => {
    const { isolate } = isolates();
    const first = newRecordsKeyText();
    const one = isolate(await importRecordsKeys([first]));
    const made = await one.pseudonym(t42, 'someone');
    expect(made).toMatch(/^[0-9a-f]{32}$/);
    expect(one.pseudonym(t42, 'someone')).toBe(made);
    const rotated = isolate(await importRecordsKeys([newRecordsKeyText(), first]));
    expect(await rotated.pseudonym(t42, 'someone')).toBe(made);
    const others = [
      await one.pseudonym(t42, 'someone else'),
      await one.pseudonym(tenantSubject('t43'), 'someone'),
    ];
    expect(new Set([made, ...others]).size).toBe(3);
  });

  it('cannot be made again once the key is destroyed, not even with the store and the records keys', async () => {
    const { clock, isolate } = isolates();
    const [one, other] = [isolate(keys), isolate(keys)];
    await one.pseudonym(t42, 'someone');
    await other.pseudonym(t42, 'someone');
    await one.destroy(t42);
    expect(await one.pseudonym(t42, 'someone')).toBeUndefined();
    expect(await isolate(keys).pseudonym(t42, 'someone')).toBeUndefined();
    clock.advance(5000);
    expect(await other.pseudonym(t42, 'someone else')).toBeUndefined();
  });
});

describe('seal() and open()', () => {
  it('return the sealed bytes in every isolate', async () => {
    const { isolate } = isolates();
    const [one, other] = [isolate(keys), isolate(keys)];
    await fc.assert(
      fc.asyncProperty(subjects, contexts, contents, async (subject, context, bytes) => {
        const record = await one.seal(subject, bytes, context);
        expect(record && (await other.open(subject, record, context))).toEqual(bytes);
      }),
    );
  });

  it('return undefined for another subject, and reject another context', async () => {
    const { isolate } = isolates();
    const vault = isolate(keys);
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(subjects, { minLength: 2, maxLength: 2 }),
        fc.uniqueArray(contexts, { minLength: 2, maxLength: 2 }),
        contents,
        async ([mine = t42, theirs = t42], [context = '', wrong = ''], bytes) => {
          const record = (await vault.seal(mine, bytes, context)) ?? bytes;
          // Makes a key for the other subject.
          await vault.seal(theirs, bytes, context);
          expect(await vault.open(theirs, record, context)).toBeUndefined();
          await expect(vault.open(mine, record, wrong)).rejects.toMatchObject({ code: 'internal' });
        },
      ),
    );
  });

  it('open no record with a changed bit', async () => {
    const { isolate } = isolates();
    const vault = isolate(keys);
    const record = (await vault.seal(t42, bytesOf('a receipt'), 'r1')) ?? bytesOf('');
    for (let bit = 0; bit < record.byteLength * 8; bit += 1) {
      const changed = record.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const opened = await vault.open(t42, changed, 'r1').catch(() => undefined);
      expect(opened, `bit ${bit}`).toBeUndefined();
    }
  });

  it('open no truncated record', async () => {
    const vault = isolates().isolate(keys);
    const record = (await vault.seal(t42, bytesOf('a receipt'), 'r1')) ?? bytesOf('');
    for (let length = 0; length < record.byteLength; length += 1) {
      await expect(vault.open(t42, record.slice(0, length), 'r1')).rejects.toMatchObject({
        code: 'internal',
      });
    }
  });

  it('open a record that is a view into a larger buffer', async () => {
    const vault = isolates().isolate(keys);
    const record = (await vault.seal(t42, bytesOf('a receipt'), 'r1')) ?? bytesOf('');
    const bundle = new Uint8Array(7 + record.byteLength + 3);
    bundle.set(record, 7);
    expect(textOf(await vault.open(t42, bundle.subarray(7, 7 + record.byteLength), 'r1'))).toBe('a receipt');
  });

  it('hide the content, the subject, and which records of different days belong together', async () => {
    const { clock, isolate, state } = isolates();
    const vault = isolate(keys);
    const first = (await vault.seal(t42, bytesOf('a receipt'), 'r1')) ?? bytesOf('');
    const same = (await vault.seal(t42, bytesOf('a receipt'), 'r1')) ?? bytesOf('');
    clock.advance(86_400_000);
    const later = (await vault.seal(t42, bytesOf('a receipt'), 'r1')) ?? bytesOf('');
    const label = (record: Uint8Array) => Buffer.from(record.subarray(5, 21)).toString('hex');
    expect(label(same)).toBe(label(first));
    expect(label(later)).not.toBe(label(first));
    expect(Buffer.from(first).equals(Buffer.from(same))).toBe(false);
    for (const record of [first, same, later]) {
      expect(textOf(record)).not.toMatch(/receipt|t42|r1/);
      expect(textOf(await vault.open(t42, record, 'r1'))).toBe('a receipt');
    }
    expect((await state.list('')).length).toBe(1);
  });

  it('make one key if many isolates seal concurrently for a new subject', async () => {
    const { isolate } = isolates();
    const vaults = Array.from({ length: 12 }, () => isolate(keys));
    const records = await Promise.all(vaults.map((vault, at) => vault.seal(t42, bytesOf(`r${at}`), `${at}`)));
    const reader = isolate(keys);
    for (const [at, record] of records.entries()) {
      expect(record && textOf(await reader.open(t42, record, `${at}`))).toBe(`r${at}`);
    }
  });

  it('write one key once if one isolate seals many records concurrently for a new subject', async () => {
    const { isolate, state } = isolates();
    let reads = 0;
    let writes = 0;
    const counting: StateStore = {
      ...state,
      get(key) {
        reads += 1;
        return state.get(key);
      },
      put(...given) {
        writes += 1;
        return state.put(...given);
      },
    };
    const vault = isolate(keys, counting);
    await Promise.all(Array.from({ length: 30 }, (_, at) => vault.seal(t42, bytesOf('x'), `${at}`)));
    // Each record looks for the key once; those that queue behind the write share one more read.
    expect([reads, writes]).toEqual([31, 1]);
  });

  it('read the store once in five seconds', async () => {
    const { clock, isolate, state } = isolates();
    let reads = 0;
    const counting: StateStore = {
      ...state,
      get(key) {
        reads += 1;
        return state.get(key);
      },
      getIfChanged(key, etag) {
        reads += 1;
        return state.getIfChanged(key, etag);
      },
    };
    const vault = isolate(keys, counting);
    for (let second = 0; second < 10; second += 1) {
      await vault.seal(t42, bytesOf('x'), 'r');
      clock.advance(1000);
    }
    expect(reads).toBe(2);
  });

  it('seal without a promise if the key is held, and seal records that do not open once it is destroyed', async () => {
    const { isolate } = isolates();
    const vault = isolate(keys);
    expect(vault.sealer(t42)).toBeInstanceOf(Promise);
    await vault.sealer(t42);
    const seal = vault.sealer(t42);
    if (seal === undefined || seal instanceof Promise) return expect.fail('sealer() returned no function');
    const before = await seal(bytesOf('before'), 'one');
    expect(textOf(await vault.open(t42, before, 'one'))).toBe('before');
    await vault.destroy(t42);
    expect(vault.sealer(t42)).toBeUndefined();
    const after = await seal(bytesOf('after'), 'two');
    for (const reader of [vault, isolate(keys)]) {
      expect(await reader.open(t42, before, 'one')).toBeUndefined();
      expect(await reader.open(t42, after, 'two')).toBeUndefined();
    }
  });

  it('fail if the store fails, once the held key is too old', async () => {
    const { clock, isolate, state } = isolates();
    let down = false;
    const failing: StateStore = {
      ...state,
      getIfChanged: (...known) => {
        if (down) throw new Error('store is down');
        return state.getIfChanged(...known);
      },
    };
    const vault = isolate(keys, failing);
    const record = (await vault.seal(t42, bytesOf('x'), 'r')) ?? bytesOf('');
    down = true;
    expect(textOf(await vault.open(t42, record, 'r'))).toBe('x');
    clock.advance(5000);
    await expect(vault.open(t42, record, 'r')).rejects.toThrow('store is down');
    await expect(vault.seal(t42, bytesOf('x'), 'r')).rejects.toThrow('store is down');
  });
});

describe('destroy()', () => {
  it('makes records stop opening: in this isolate at once, in every other within maxAgeMs', async () => {
    const { clock, isolate } = isolates();
    const [here, there, late] = [isolate(keys), isolate(keys), isolate(keys)];
    const record = (await here.seal(t42, bytesOf('x'), 'r')) ?? bytesOf('');
    clock.advance(3000);
    expect(textOf(await there.open(t42, record, 'r'))).toBe('x');
    const { destroyedAt } = await here.destroy(t42);
    expect(Date.parse(destroyedAt)).toBe(noon + 3000);
    expect(await here.open(t42, record, 'r')).toBeUndefined();
    expect(await late.open(t42, record, 'r')).toBeUndefined();
    clock.advance(4999);
    // That isolate read the key before it was destroyed, and may use it for maxAgeMs.
    expect(textOf(await there.open(t42, record, 'r'))).toBe('x');
    clock.advance(1);
    expect(await there.open(t42, record, 'r')).toBeUndefined();
  });

  it('leaves no wrapped key in the store', async () => {
    const { isolate, state } = isolates();
    const vault = isolate(keys);
    await vault.seal(t42, bytesOf('x'), 'r');
    const before = await state.get(vaultKey(t42));
    expect(before?.value).toMatch(/"key":"[\w-]{80}"/);
    await vault.destroy(t42);
    const after = await state.get(vaultKey(t42));
    expect(JSON.parse(after?.value ?? '')).toEqual({
      schema: 'edgewise.vault.v1',
      status: 'destroyed',
      destroyedAt: '2026-11-24T12:00:00.000Z',
    });
  });

  it('prevents a new key, also for a subject that never had one', async () => {
    const { isolate } = isolates();
    const vault = isolate(keys);
    for (const subject of [t42, tenantSubject('never-seen')]) {
      await vault.destroy(subject);
      expect(await vault.seal(subject, bytesOf('x'), 'r')).toBeUndefined();
      expect(await isolate(keys).seal(subject, bytesOf('x'), 'r')).toBeUndefined();
    }
  });

  it('takes effect once, also if it is called again', async () => {
    const { clock, isolate } = isolates();
    const first = await isolate(keys).destroy(t42);
    clock.advance(60_000);
    expect(await isolate(keys).destroy(t42)).toEqual(first);
    expect(await Promise.all([isolate(keys).destroy(t42), isolate(keys).destroy(t42)])).toEqual([
      first,
      first,
    ]);
  });

  it('does not touch another subject', async () => {
    const { isolate } = isolates();
    const vault = isolate(keys);
    const other = tenantSubject('t43');
    const record = (await vault.seal(other, bytesOf('x'), 'r')) ?? bytesOf('');
    await vault.destroy(t42);
    expect(textOf(await vault.open(other, record, 'r'))).toBe('x');
  });

  it('takes effect in time also if the last read of the key took long', async () => {
    const { clock, isolate, state } = isolates();
    const slow: StateStore = {
      ...state,
      async getIfChanged(...known) {
        const entry = await state.getIfChanged(...known);
        clock.advance(3000);
        return entry;
      },
    };
    const vault = isolate(keys, slow);
    const record = (await vault.seal(t42, bytesOf('x'), 'r')) ?? bytesOf('');
    clock.advance(5000);
    expect(textOf(await vault.open(t42, record, 'r'))).toBe('x');
    await isolate(keys).destroy(t42);
    clock.advance(2000);
    expect(await vault.open(t42, record, 'r')).toBeUndefined();
  });

  it('wins over a read that began before it and ends after it', async () => {
    const { isolate, state } = isolates();
    await isolate(keys).seal(t42, bytesOf('x'), 'r');
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let isSlow = true;
    const slow: StateStore = {
      ...state,
      async get(key) {
        const entry = await state.get(key);
        if (isSlow) {
          isSlow = false;
          await held;
        }
        return entry;
      },
    };
    const vault = isolate(keys, slow);
    const sealing = vault.seal(t42, bytesOf('late'), 'r2');
    await vault.destroy(t42);
    release();
    const record = await sealing;
    expect(record && (await vault.open(t42, record, 'r2'))).toBeUndefined();
    expect(await vault.seal(t42, bytesOf('x'), 'r')).toBeUndefined();
  });

  it('takes effect in any sequence of sealing, opening, destroying and waiting', async () => {
    const steps = fc.array(
      fc.record({
        isolate: fc.nat({ max: 2 }),
        act: fc.constantFrom('seal' as const, 'open' as const, 'destroy' as const),
        waitMs: fc.nat({ max: 6000 }),
      }),
      { maxLength: 30 },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (sequence) => {
        const { clock, isolate } = isolates();
        const vaults = [isolate(keys), isolate(keys), isolate(keys)];
        const records: Uint8Array<ArrayBuffer>[] = [];
        let destroyedAtMs = Number.POSITIVE_INFINITY;
        for (const { isolate: at, act, waitMs } of sequence) {
          clock.advance(waitMs);
          const vault = vaults[at] ?? isolate(keys);
          const isOver = clock.now() - destroyedAtMs >= 5000;
          if (act === 'destroy') {
            await vault.destroy(t42);
            destroyedAtMs = Math.min(destroyedAtMs, clock.now());
          } else if (act === 'seal') {
            const record = await vault.seal(t42, bytesOf('x'), 'r');
            if (isOver) expect(record).toBeUndefined();
            if (record !== undefined) records.push(record);
          } else {
            for (const record of records) {
              const opened = textOf(await vault.open(t42, record, 'r'));
              if (destroyedAtMs === Number.POSITIVE_INFINITY) expect(opened).toBe('x');
              if (isOver) expect(opened).toBeUndefined();
            }
          }
        }
      }),
    );
  });
});

describe('records keys', () => {
  const [oldText, newText] = [newRecordsKeyText(), newRecordsKeyText()];

  it('rotate: a key that the old one wrapped is wrapped by the new one on its next use, and then needs no old one', async () => {
    const [before, between, after] = await Promise.all([
      importRecordsKeys([oldText]),
      importRecordsKeys([newText, oldText]),
      importRecordsKeys([newText]),
    ]);
    const { isolate, state } = isolates();
    const record = (await isolate(before).seal(t42, bytesOf('x'), 'r')) ?? bytesOf('');
    await expect(isolate(after).open(t42, record, 'r')).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('is not configured'),
    });
    expect(textOf(await isolate(between).open(t42, record, 'r'))).toBe('x');
    const stored = await state.get(vaultKey(t42));
    expect(JSON.parse(stored?.value ?? '')).toMatchObject({ wrappedBy: after[0].id });
    expect(textOf(await isolate(after).open(t42, record, 'r'))).toBe('x');
    await expect(isolate(before).seal(t42, bytesOf('y'), 'r')).rejects.toMatchObject({ code: 'internal' });
  });

  it('wrap new keys with the first one only', async () => {
    const between = await importRecordsKeys([newText, oldText]);
    const { isolate, state } = isolates();
    await isolate(between).seal(t42, bytesOf('x'), 'r');
    const stored = await state.get(vaultKey(t42));
    expect(JSON.parse(stored?.value ?? '')).toMatchObject({ wrappedBy: between[0].id });
  });

  it('are all replaced by the first one in rewrapAll(), which skips destroyed entries', async () => {
    const before = await importRecordsKeys([oldText]);
    const between = await importRecordsKeys([newText, oldText]);
    const { isolate } = isolates();
    const vault = isolate(before);
    const names = ['a', 'b', 'c'].map(tenantSubject);
    const records = await Promise.all(names.map((subject) => vault.seal(subject, bytesOf(subject), 'r')));
    await vault.destroy(t42);
    expect(await isolate(between).rewrapAll()).toEqual({ live: 3, rewrapped: 3 });
    expect(await isolate(between).rewrapAll()).toEqual({ live: 3, rewrapped: 0 });
    const last = isolate(await importRecordsKeys([newText]));
    for (const [at, subject] of names.entries()) {
      expect(textOf(await last.open(subject, records[at] ?? bytesOf(''), 'r'))).toBe(subject);
    }
    expect(await last.seal(t42, bytesOf('x'), 'r')).toBeUndefined();
  });

  it('do not unwrap a key that was stored for another subject', async () => {
    const { isolate, state } = isolates();
    await isolate(keys).seal(t42, bytesOf('x'), 'r');
    const { value = '' } = (await state.get(vaultKey(t42))) ?? {};
    const thief: Subject = tenantSubject('thief');
    await state.put(vaultKey(thief), value, { ifAbsent: true });
    await expect(isolate(keys).seal(thief, bytesOf('x'), 'r')).rejects.toMatchObject({ code: 'internal' });
  });

  it.each([
    ['none', []],
    ['a short one', [Buffer.alloc(31, 7).toString('base64url')]],
    ['one with other characters', ['=== not base64url ===']],
    ['the same one twice', [oldText, oldText]],
  ])('are refused: %s', async (_, texts) => {
    const refused = importRecordsKeys(texts);
    await expect(refused).rejects.toMatchObject({ code: 'invalid_request' });
    for (const text of texts) await expect(refused).rejects.not.toThrow(text);
  });
});
