import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/async/clock.ts';
import {
  documentKey,
  keyDocuments,
  tenantDocuments,
} from '../../../src/governance/accounts/account-documents.ts';
import { AccountStore } from '../../../src/governance/accounts/account-store.ts';
import { Directory } from '../../../src/governance/accounts/directory.ts';
import { keyIdOf } from '../../../src/governance/accounts/key-format.ts';
import { type Acceptance, grantSchema, scopesSchema } from '../../../src/governance/accounts/schema.ts';
import type { StateStore } from '../../../src/storage/types.ts';
import { ManualClock } from '../../support/clock.ts';
import { memoryStateStore } from '../../support/memory-stores.ts';

const start = Date.parse('2026-12-01T00:00:00Z');
const scopes = scopesSchema.parse({});
const acme = { id: 'acme', name: 'Acme', establishment: 'DE', residency: undefined, fieldsOfUse: [] };
const {
  id: _,
  status: __,
  createdAt: ___,
  ...grant
} = grantSchema.parse({
  id: 'x',
  assigner: 'Creator',
  model: 'mlp',
  createdAt: new Date(start).toISOString(),
});
const acceptance = {
  model: 'mlp',
  spdx: 'Apache-2.0',
  text: `sha256:${'0'.repeat(64)}`,
  by: 'A person',
  method: 'api',
} satisfies Omit<Acceptance, 'id' | 'at' | 'text'> & { readonly text: Acceptance['text'] };

let state: StateStore;
let store: AccountStore;
let changed: string[];
beforeEach(async () => {
  state = memoryStateStore();
  changed = [];
  store = storeOver(state);
  await store.createTenant(acme);
});

function storeOver(over: StateStore): AccountStore {
  return new AccountStore({
    state: over,
    now: () => start,
    onChange: (change) => changed.push(Object.values(change)[0] ?? ''),
  });
}
const code = (expected: string) => expect.objectContaining({ code: expected });

describe('AccountStore', () => {
  it('loses none of many concurrent changes', async () => {
    await Promise.all([
      ...Array.from({ length: 6 }, () => store.createKey('acme', { scopes })),
      ...Array.from({ length: 4 }, () => store.putGrant('acme', grant)),
      ...Array.from({ length: 4 }, () => store.addAcceptance('acme', acceptance)),
      store.setTenantStatus('acme', 'suspended'),
    ]);
    const tenant = await store.tenant('acme');
    expect([tenant.keys.length, tenant.grants.length, tenant.acceptances.length, tenant.status]).toEqual([
      6,
      4,
      4,
      'suspended',
    ]);
    expect(new Set(tenant.keys).size).toBe(6);
    expect((await store.keys('acme')).map(({ id }) => id)).toEqual(tenant.keys);
    expect(new Set(changed)).toEqual(new Set(['acme', ...tenant.keys]));
  });

  it('creates 30 keys of one tenant concurrently in two isolates', async () => {
    // Separate objects, so that the isolates share only the stored state.
    const isolates = [storeOver({ ...state }), storeOver({ ...state })];
    const issued = await Promise.all(
      Array.from({ length: 30 }, (_, at) => isolates[at % 2]?.createKey('acme', { scopes })),
    );
    const ids = issued.map((each) => each?.key.id ?? '');
    expect((await store.tenant('acme')).keys.toSorted()).toEqual(ids.toSorted());
    expect(new Set(ids).size).toBe(30);
  });

  it('gives up with overloaded if others keep changing the same document', async () => {
    let now = 0;
    const clock: Clock = {
      now: () => now,
      after: (ms, wake) => {
        now += ms;
        queueMicrotask(wake);
        return () => {};
      },
    };
    const crowded = new AccountStore({
      state: { ...state, put: async () => undefined },
      now: () => start,
      clock,
    });
    await expect(crowded.setTenantStatus('acme', 'suspended')).rejects.toEqual(
      expect.objectContaining({ code: 'overloaded', retryAfterSeconds: 1 }),
    );
  });

  it('writes nothing if nothing changes', async () => {
    const { key } = await store.createKey('acme', { scopes });
    await store.rotateKey(key.id, 60);
    expect(await store.revokeKey(key.id)).not.toHaveProperty('previous');
    const { id } = await store.addAcceptance('acme', acceptance);
    await store.withdrawAcceptance('acme', id);
    const before = await Promise.all((await state.list('')).map((each) => state.get(each)));
    await store.setTenantStatus('acme', 'active');
    await store.revokeKey(key.id);
    await store.withdrawAcceptance('acme', id);
    expect(await Promise.all((await state.list('')).map((each) => state.get(each)))).toEqual(before);
  });

  it('leaves nothing usable wherever it is cut off', async () => {
    const dyingAfter = (writes: number) => {
      let left = writes;
      return storeOver({
        ...state,
        put: (...put) => {
          left -= 1;
          return left < 0 ? Promise.reject(new Error('the process died')) : state.put(...put);
        },
      });
    };
    for (const writes of [0, 1]) {
      await expect(dyingAfter(writes).createKey('acme', { scopes })).rejects.toEqual(
        code('records_unavailable'),
      );
      await expect(dyingAfter(writes).putGrant('acme', { ...grant, id: 'g-1' })).rejects.toEqual(
        code('records_unavailable'),
      );
    }
    // A key is listed before it exists, and left out of the answer until it does.
    expect((await store.tenant('acme')).keys).toHaveLength(1);
    expect(await store.keys('acme')).toEqual([]);
    expect((await store.tenant('acme')).grants).toEqual([]);
    // The id reserved for the grant stays reserved for its tenant.
    await store.createTenant({ ...acme, id: 'other' });
    expect(await store.tenantOfGrant('g-1')).toBe('acme');
    await expect(store.putGrant('other', { ...grant, id: 'g-1' })).rejects.toEqual(code('conflict'));
    await expect(store.putGrant('acme', { ...grant, id: 'g-1' })).resolves.toMatchObject({ id: 'g-1' });
  });

  it('withdraws acceptances, and refuses a second one with the same id', async () => {
    const { id } = await store.addAcceptance('acme', { ...acceptance, id: 'a-1', receipt: 'r-1' });
    expect(id).toBe('a-1');
    await expect(store.addAcceptance('acme', { ...acceptance, id })).rejects.toEqual(code('conflict'));
    expect(await store.withdrawAcceptance('acme', id)).toMatchObject({
      withdrawnAt: '2026-12-01T00:00:00.000Z',
    });
    await expect(store.withdrawAcceptance('acme', 'a-2')).rejects.toEqual(code('not_found'));
  });

  it('refuses every addition to an erased tenant', async () => {
    await store.changeTenant('acme', (tenant) => ({ ...tenant, status: 'erased' }));
    for (const attempt of [
      () => store.createKey('acme', { scopes }),
      () => store.putGrant('acme', grant),
      () => store.addAcceptance('acme', acceptance),
      () => store.setTenantStatus('acme', 'active'),
    ]) {
      await expect(attempt()).rejects.toEqual(code('conflict'));
    }
  });

  it('stores no document that it could not read again', async () => {
    await expect(store.changeTenant('acme', (tenant) => ({ ...tenant, name: '' }))).rejects.toEqual(
      code('invalid_request'),
    );
    await expect(store.createTenant({ ...acme, id: 'Not An Id' })).rejects.toEqual(code('invalid_request'));
    expect((await store.tenants()).map(({ id }) => id)).toEqual(['acme']);
  });

  it('reads no document for a malformed id', async () => {
    const reads: string[] = [];
    const watched = storeOver({
      ...state,
      get: (key) => {
        reads.push(key);
        return state.get(key);
      },
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('../keys/x', '', 'a/b', 'A', 'a.json', 'x'.repeat(49), '%2e'),
        async (id) => {
          for (const attempt of [
            watched.tenant(id),
            watched.key(id),
            watched.rotateKey(id, 60),
            watched.revokeKey(id),
            watched.tenantOfGrant(id),
          ]) {
            await expect(attempt).rejects.toEqual(code('not_found'));
          }
        },
      ),
    );
    expect(reads).toEqual([]);
  });

  it('refuses a document that is stored under another id', async () => {
    const { key } = await store.createKey('acme', { scopes });
    const entry = await state.get(documentKey(keyDocuments, key.id));
    await state.put(documentKey(keyDocuments, 'another'), entry?.value ?? '', { ifAbsent: true });
    await expect(store.key('another')).rejects.toEqual(code('internal'));
    await state.put(documentKey(tenantDocuments, 'another'), entry?.value ?? '', { ifAbsent: true });
    await expect(store.tenant('another')).rejects.toEqual(code('internal'));
  });
});

describe('Directory', () => {
  it('reads a key and its tenant concurrently once it knows the tenant', async () => {
    const clock = new ManualClock();
    const { key, text } = await store.createKey('acme', { scopes });
    expect(keyIdOf(text)).toBe(key.id);
    let under = 0;
    let most = 0;
    const countConcurrent = async <T>(read: Promise<T>): Promise<T> => {
      under += 1;
      most = Math.max(most, under);
      const value = await read;
      under -= 1;
      return value;
    };
    const directory = new Directory({
      state: {
        ...state,
        get: (id) => countConcurrent(state.get(id)),
        getIfChanged: (id, etag) => countConcurrent(state.getIfChanged(id, etag)),
      },
      clock,
      defer: (work) => void work,
    });
    await directory.account(key.id);
    expect(most).toBe(1);
    clock.advance(5000);
    const account = directory.account(key.id);
    expect(account).toBeInstanceOf(Promise);
    expect(await account).toMatchObject({ key: { id: key.id }, tenant: { id: 'acme' } });
    expect(most).toBe(2);
    expect(directory.account(key.id)).not.toBeInstanceOf(Promise);
    expect(directory.tenant('acme')).toMatchObject({ id: 'acme' });
  });

  it('returns a key without a tenant if the tenant is gone', async () => {
    const { key } = await store.createKey('acme', { scopes });
    const { etag = '' } = (await state.get(documentKey(tenantDocuments, 'acme'))) ?? {};
    await state.delete(documentKey(tenantDocuments, 'acme'), { ifMatch: etag });
    const directory = new Directory({ state, clock: new ManualClock(), defer: (work) => void work });
    expect(await directory.account(key.id)).toEqual({ key, tenant: undefined });
    expect(await directory.account('unknown')).toBeUndefined();
    expect([directory.knows(key.id), directory.knows('unknown'), directory.knows('alice')]).toEqual([
      true,
      true,
      false,
    ]);
  });
});
