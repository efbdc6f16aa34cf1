import { describe, expect, it } from 'vitest';
import { AccountStore } from '../../../src/governance/accounts/account-store.ts';
import { acceptanceSchema, grantSchema, scopesSchema } from '../../../src/governance/accounts/schema.ts';
import { type ErasureParts, eraseTenant, readErasure } from '../../../src/governance/subjects/erasure.ts';
import { type ExportParts, exportTenant } from '../../../src/governance/subjects/export.ts';
import { createPrivacyNotice } from '../../../src/governance/subjects/notice.ts';
import { openReceipt, sealReceipt } from '../../../src/governance/vault/sealed-receipt.ts';
import type { StateStore } from '../../../src/storage/types.ts';
import { isolates, newRecordsKeys, noon } from '../vault/harness.ts';

const keys = await newRecordsKeys();
const digest = `sha256:${'a'.repeat(64)}`;
const recoveryWindowDays = 30;

/** Returns a log of sealed receipts in bundles of four. */
function sealedReceipts(): ExportParts['receipts'] & {
  readonly all: (Uint8Array<ArrayBuffer> | undefined)[];
} {
  const all: (Uint8Array<ArrayBuffer> | undefined)[] = [];
  return {
    all,
    async listSealed(index) {
      const to = index - (index % 4) + 4;
      return { sealed: all.slice(index, to), next: to < all.length ? to : undefined };
    },
  };
}

let ids = 0;
function newReceiptId(): string {
  ids += 1;
  return `019ab5cb-f200-7abc-8def-${String(ids).padStart(12, '0')}`;
}

async function world(over: (state: StateStore) => StateStore = (state) => state) {
  const { clock, isolate, state: plain } = isolates();
  const state = over(plain);
  const now = () => noon + clock.now();
  const accounts = new AccountStore({ state, now });
  const vault = isolate(keys, state);
  const receipts = sealedReceipts();
  const notice = createPrivacyNotice({
    controller: 'edge.example',
    jurisdiction: 'eu',
    recipients: [{ jurisdiction: 'eu', region: 'eu-west-1' }],
    recoveryWindowDays,
  });
  const parts: ExportParts & ErasureParts = {
    state,
    accounts,
    vault,
    receipts,
    notice,
    now,
    recoveryWindowDays,
  };
  async function addTenant(id: string): Promise<string> {
    await accounts.createTenant({ id, name: `Name of ${id}`, residency: 'eu', fieldsOfUse: ['optics'] });
    const { text } = await accounts.createKey(id, {
      scopes: scopesSchema.parse({ purposes: ['secret-purpose'] }),
    });
    await accounts.putGrant(
      id,
      grantSchema.omit({ createdAt: true, status: true, id: true }).parse({
        assigner: 'creator',
        model: 'mlp',
      }),
    );
    await accounts.addAcceptance(
      id,
      acceptanceSchema.omit({ at: true, id: true }).parse({
        model: 'mlp',
        spdx: 'MIT',
        text: digest,
        by: `Jane of ${id}`,
        method: 'click',
      }),
    );
    return text;
  }
  async function addReceipt(tenant: string | undefined): Promise<string> {
    const id = newReceiptId();
    receipts.all.push(await sealReceipt(vault, { id, caller: { tenant } }, `jws.${id}.${tenant}`));
    return id;
  }
  return { clock, isolate, plain, parts, accounts, vault, receipts, addTenant, addReceipt };
}

describe('exportTenant()', () => {
  it('contains all data of the tenant, but no hashes, and no data of another tenant', async () => {
    const { addReceipt, addTenant, parts } = await world();
    const text = await addTenant('t42');
    const other = await addTenant('t43');
    const mine = [await addReceipt('t42'), await addReceipt('t42')];
    await addReceipt('t43');
    await addReceipt(undefined);
    mine.push(await addReceipt('t42'));
    const exported = await exportTenant(parts, 't42');
    expect(exported).toMatchObject({
      schema: 'edgewise.export.v1',
      exportedAt: '2026-11-24T12:00:00.000Z',
      tenant: {
        id: 't42',
        name: 'Name of t42',
        residency: 'eu',
        grants: [{ model: 'mlp' }],
        acceptances: [{ by: 'Jane of t42' }],
      },
      keys: [{ tenant: 't42', scopes: { purposes: ['secret-purpose'] } }],
      erasure: null,
      receipts: { items: mine.map((id) => ({ id, receipt: `jws.${id}.t42` })), next: null },
      recipients: [{ category: 'inference-server', jurisdiction: 'eu', region: 'eu-west-1' }],
    });
    expect(exported.notKept.length).toBeGreaterThan(0);
    const written = JSON.stringify(exported);
    expect(written).not.toMatch(/t43|"hash"|"previous"/);
    for (const secret of [text, other]) expect(written).not.toContain(secret.slice(-43));
  });

  it('returns receipts page by page, each once', async () => {
    const { addReceipt, addTenant, parts } = await world();
    await addTenant('t42');
    const mine: string[] = [];
    for (let count = 0; count < 900; count += 1) {
      const id = await addReceipt(count % 3 === 0 ? 't42' : undefined);
      if (count % 3 === 0) mine.push(id);
    }
    const found: string[] = [];
    let from: number | null = 0;
    let pages = 0;
    while (from !== null) {
      const { receipts }: Awaited<ReturnType<typeof exportTenant>> = await exportTenant(parts, 't42', from);
      found.push(...receipts.items.map(({ id }) => id));
      from = receipts.next;
      pages += 1;
    }
    expect(found).toEqual(mine);
    expect(pages).toBeGreaterThan(1);
  });

  it('rejects an unknown tenant with not_found', async () => {
    const { parts } = await world();
    for (const id of ['t42', '../x', '']) {
      await expect(exportTenant(parts, id)).rejects.toMatchObject({ code: 'not_found' });
    }
  });
});

describe('eraseTenant()', () => {
  it('leaves only the tenant’s id, and nothing that decrypts', async () => {
    const { addReceipt, addTenant, clock, isolate, parts, plain, receipts } = await world();
    const text = await addTenant('t42');
    const id = await addReceipt('t42');
    clock.advance(60_000);
    const erasure = await eraseTenant(parts, 't42');
    expect(erasure).toEqual({
      schema: 'edgewise.erasure.v1',
      tenant: 't42',
      requestedAt: '2026-11-24T12:01:00.000Z',
      erasedAt: '2026-11-24T12:01:00.000Z',
      erasureCompleteAt: '2026-12-24T12:01:00.000Z',
    });
    const kept = receipts.all[0] ?? new Uint8Array(0);
    for (const vault of [parts.vault, isolate(keys)]) {
      expect(await openReceipt(vault, id, kept, 't42')).toBeUndefined();
    }
    const stored = new Map<string, string>();
    for (const key of await plain.list('')) stored.set(key, (await plain.get(key))?.value ?? '');
    const all = [...stored.values()].join('\n');
    expect(all).not.toMatch(/Name of t42|Jane|secret-purpose|optics|"hash"|"key":/);
    expect(all).not.toContain(text.slice(-43));
    expect([...stored.keys()].filter((key) => key.startsWith('accounts/keys/'))).toEqual([]);
    expect(await parts.accounts.tenant('t42')).toEqual({
      schema: 'edgewise.tenant.v1',
      id: 't42',
      name: 'erased',
      fieldsOfUse: [],
      status: 'erased',
      keys: [],
      grants: [],
      acceptances: [],
      createdAt: '2026-11-24T12:00:00.000Z',
    });
  });

  it('returns the first erasure when called again, and the export contains it', async () => {
    const { addReceipt, addTenant, clock, parts } = await world();
    await addTenant('t42');
    await addReceipt('t42');
    const first = await eraseTenant(parts, 't42');
    clock.advance(86_400_000);
    expect(await eraseTenant(parts, 't42')).toEqual(first);
    expect(await exportTenant(parts, 't42')).toMatchObject({
      erasure: first,
      keys: [],
      receipts: { items: [], next: null },
    });
  });

  it('is permanent: the tenant gets no key or other status, and its id is not given again', async () => {
    const { accounts, addTenant, parts } = await world();
    await addTenant('t42');
    await eraseTenant(parts, 't42');
    await expect(accounts.createKey('t42', { scopes: scopesSchema.parse({}) })).rejects.toMatchObject({
      code: 'conflict',
    });
    await expect(accounts.setTenantStatus('t42', 'active')).rejects.toMatchObject({ code: 'conflict' });
    await expect(
      accounts.createTenant({ id: 't42', name: 'another', fieldsOfUse: [] }),
    ).rejects.toMatchObject({ code: 'conflict' });
  });

  it('does not touch another tenant', async () => {
    const { addReceipt, addTenant, parts } = await world();
    await addTenant('t42');
    await addTenant('t43');
    const id = await addReceipt('t43');
    const before = await exportTenant(parts, 't43');
    await eraseTenant(parts, 't42');
    expect(await exportTenant(parts, 't43')).toEqual(before);
    expect(before.receipts.items.map((item) => item.id)).toEqual([id]);
  });

  it('rejects an unknown tenant, and records nothing', async () => {
    const { parts, plain } = await world();
    for (const id of ['unknown', '../x', '']) {
      await expect(eraseTenant(parts, id)).rejects.toMatchObject({ code: 'not_found' });
    }
    expect(await plain.list('')).toEqual([]);
    await expect(readErasure(plain, '../x')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('is completed by another call, wherever it was cut off', async () => {
    for (let survives = 0; ; survives += 1) {
      let writes = Number.POSITIVE_INFINITY;
      const failing = (state: StateStore): StateStore => ({
        ...state,
        put: (...args) => {
          if (writes-- <= 0) throw new Error('cut off');
          return state.put(...args);
        },
        delete: (...args) => {
          if (writes-- <= 0) throw new Error('cut off');
          return state.delete(...args);
        },
      });
      const { addReceipt, addTenant, clock, parts, plain, receipts } = await world(failing);
      await addTenant('t42');
      const id = await addReceipt('t42');
      writes = survives;
      const isDone = await eraseTenant(parts, 't42').then(
        () => true,
        () => false,
      );
      writes = Number.POSITIVE_INFINITY;
      if (!isDone && survives > 0) {
        expect(await readErasure(plain, 't42')).toMatchObject({ requestedAt: '2026-11-24T12:00:00.000Z' });
        expect((await readErasure(plain, 't42'))?.erasedAt).toBeUndefined();
      }
      clock.advance(1000);
      const erasure = await eraseTenant(parts, 't42');
      expect(erasure.erasedAt).toBe(isDone ? erasure.requestedAt : '2026-11-24T12:00:01.000Z');
      expect(await openReceipt(parts.vault, id, receipts.all[0] ?? new Uint8Array(0), 't42')).toBeUndefined();
      expect((await plain.list('accounts/keys/')).length).toBe(0);
      if (isDone) {
        expect(survives).toBeGreaterThan(5);
        return;
      }
    }
  });

  it('returns the same time to concurrent calls', async () => {
    const { addTenant, parts } = await world();
    await addTenant('t42');
    const all = await Promise.all(Array.from({ length: 5 }, () => eraseTenant(parts, 't42')));
    expect(new Set(all.map((one) => JSON.stringify(one))).size).toBe(1);
  });
});

describe('createPrivacyNotice()', () => {
  it('lists each kind of recipient once, without names and addresses', () => {
    const notice = createPrivacyNotice({
      controller: 'edge.example',
      recipients: [
        { jurisdiction: 'eu', region: 'eu-west-1' },
        { jurisdiction: 'eu', region: 'eu-west-1' },
        {},
      ],
      recoveryWindowDays: 30,
    });
    expect(notice.recipients).toEqual([
      { category: 'inference-server', jurisdiction: 'eu', region: 'eu-west-1' },
      { category: 'inference-server', jurisdiction: null, region: null },
    ]);
  });

  it('has the strictest settings by default', () => {
    const notice = createPrivacyNotice({
      controller: 'edge.example',
      recipients: [],
      recoveryWindowDays: 30,
    });
    expect(notice.trainingUse).toBe(false);
    expect(notice.processing.find(({ data }) => data.startsWith('inputs'))?.retention).toBe('none');
    expect(notice).toMatchObject({ jurisdiction: null, controller: { contact: null } });
  });
});
