import fc from 'fast-check';
import { CompactSign } from 'jose';
import { describe, expect, it } from 'vitest';
import { type Grant, grantSchema } from '../../../src/governance/accounts/schema.ts';
import { canonicalJson } from '../../../src/governance/canonical-json.ts';
import { parseVerifierKey } from '../../../src/governance/log/note-keys.ts';
import type { Statement } from '../../../src/governance/statement/schema.ts';
import { spanEntries } from '../../../src/governance/statement/spans.ts';
import { peekStatement, readStatement, signStatement } from '../../../src/governance/statement/statement.ts';
import { verifyStatement } from '../../../src/governance/statement/verify.ts';
import { strangeWitness, testWitnesses } from '../../support/governance-keys.ts';
import { memoryStateStore } from '../../support/memory-stores.ts';
import { december, newLedger, november, withFile } from './ledger.ts';

const grant: Grant = grantSchema.parse({
  id: 'g1',
  assigner: 'creator:acme-vision',
  model: 'mlp',
  royalty: { per: 'unit', amount: '0.0004', currency: 'EUR' },
  createdAt: '2026-11-01T00:00:00.000Z',
});

/** A ledger of two grants, one of them used in two months. */
async function twoGrants() {
  const ledger = await newLedger();
  const receipts = await ledger.use([
    { grant: 'g2', units: 100 },
    { grant: 'g1', units: 3 },
    { grant: 'g1', units: 50, atMs: december },
    { grant: 'g1', units: 4 },
    { grant: 'g2', units: 100 },
  ]);
  return { ledger, receipts, compact: await ledger.statements().issue('acme', grant, '2026-11') };
}

describe('createStatements()', () => {
  it('issues a statement of the use of the grant in the month', async () => {
    const { compact, ledger } = await twoGrants();
    const statement = await readStatement(compact, ledger.ring.verifying);
    expect(statement).toMatchObject({
      grant: { id: 'g1', assigner: 'creator:acme-vision', model: 'mlp', tenant: 'acme' },
      month: '2026-11',
      isOver: true,
      entries: 2,
      units: 7,
      first: 1,
      last: 3,
      size: 5,
      royalty: grant.royalty,
      amount: '0.0028',
    });
    expect(statement.checkpoint).toContain('log.edgewise.test/receipts\n5\n');
  });

  it('issues an empty statement without use, and no amount without a royalty', async () => {
    const { ledger } = await twoGrants();
    const { royalty: _, ...free } = grant;
    const statement = peekStatement(
      await ledger.statements().issue('acme', { ...free, id: 'g9' }, '2026-12'),
    );
    expect(statement).toMatchObject({ entries: 0, units: 0, size: 5, isOver: false });
    expect(statement).not.toHaveProperty('first');
    expect(statement).not.toHaveProperty('amount');
  });

  it('counts a large log in steps that all grants share, with the same result as in one step', async () => {
    const ledger = await newLedger();
    const size = 2 * spanEntries + 300;
    await ledger.fill(size, (n) => ({ grant: n % 3 === 0 ? 'g1' : 'g2', units: n % 100 }));
    const whole = peekStatement(await ledger.statements().issue('acme', grant, '2026-11'));
    const own = Array.from({ length: Math.ceil(size / 3) }, (_, n) => (3 * n) % 100);
    expect(whole).toMatchObject({
      entries: own.length,
      units: own.reduce((sum, units) => sum + units, 0),
      first: 0,
      last: size - (size % 3 || 3),
    });

    const state = memoryStateStore();
    const slow = ledger.statements({ state, maxNewSpans: 1 });
    await expect(slow.issue('acme', grant, '2026-11')).rejects.toMatchObject({
      code: 'records_unavailable',
      retryAfterSeconds: 1,
      message: expect.stringContaining(`${spanEntries} of ${size}`),
    });
    expect(peekStatement(await slow.issue('acme', grant, '2026-11'))).toEqual(whole);
    expect(await state.list('statements/')).toHaveLength(2);

    // Another grant needs no further spans.
    const reader = ledger.statements({ state, maxNewSpans: 0 });
    const other = peekStatement(await reader.issue('acme', { ...grant, id: 'g2' }, '2026-11'));
    expect(other.entries + whole.entries).toBe(size);
    await ledger.use([{ grant: 'g1', units: 1000 }]);
    const later = peekStatement(await reader.issue('acme', grant, '2026-11'));
    expect(later).toMatchObject({ units: whole.units + 1000, entries: whole.entries + 1, last: size });

    const [key = ''] = await state.list('statements/');
    const stored = await state.get(key);
    const document: unknown = JSON.parse(stored?.value ?? '');
    const wrong = { ...Object(document), edge: [...Array(13).fill(''), btoa('?'.repeat(32))] };
    await state.delete('statements/spans/1.json', {
      ifMatch: (await state.get('statements/spans/1.json'))?.etag ?? '',
    });
    await state.put(key, JSON.stringify(wrong), { ifMatch: stored?.etag ?? '' });
    const again = ledger.statements({ state });
    await expect(again.issue('acme', grant, '2026-11')).rejects.toMatchObject({ code: 'digest_mismatch' });
    expect(peekStatement(await again.issue('acme', grant, '2026-11')).units).toBe(later.units);
  });

  it('counts receipts that were tagged with an earlier key', async () => {
    const { ledger, compact } = await twoGrants();
    const statement = peekStatement(compact);
    expect(statement.tags).toHaveLength(2);
    const one = { ...statement, tags: statement.tags.slice(1), units: 0, entries: 0, amount: '0.0000' };
    const { first: _, last: __, ...rest } = one;
    const signed = await signStatement(rest, ledger.ring.signing);
    expect((await verifyStatement(await ledger.evidence(signed))).differences).toEqual([]);
  });

  it.each(['2026-09', '2027-01', '2026-13', '2026-1', 'november'])('refuses the month %s', async (month) => {
    const { ledger } = await twoGrants();
    await expect(ledger.statements().issue('acme', grant, month)).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });

  it('throws not_found for an empty log', async () => {
    const ledger = await newLedger();
    await expect(ledger.statements().issue('acme', grant, '2026-11')).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});

describe('verifyStatement()', () => {
  it('confirms the statement for any use', async () => {
    const uses = fc.array(
      fc.record({
        grant: fc.constantFrom('g1', 'g2'),
        units: fc.nat({ max: 1000 }),
        atMs: fc.constantFrom(november, december),
      }),
      { minLength: 1, maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(uses, async (list) => {
        const ledger = await newLedger();
        const receipts = await ledger.use(list);
        const compact = await ledger.statements().issue('acme', grant, '2026-11');
        const verified = await verifyStatement({ ...(await ledger.evidence(compact)), receipts });
        const own = list.filter((use) => use.grant === 'g1' && use.atMs === november);
        expect(verified.differences).toEqual([]);
        expect(verified.receipts).toBe(own.length);
        expect(verified.counted.units).toBe(own.reduce((sum, { units }) => sum + units, 0));
      }),
      { numRuns: 15 },
    );
  });

  it('finds every false value of a statement, signed or not', async () => {
    const { compact, ledger } = await twoGrants();
    const statement = peekStatement(compact);
    const other = peekStatement(await ledger.statements().issue('acme', { ...grant, id: 'g2' }, '2026-11'));
    const forged: [Partial<Statement>, string][] = [
      [{ units: 8 }, 'units'],
      [{ units: 6, amount: '0.0024' }, 'units'],
      [{ entries: 1 }, 'entries'],
      [{ first: 0 }, 'first'],
      [{ last: 4 }, 'last'],
      [{ size: 4 }, 'size'],
      [{ amount: '0.0029' }, 'amount'],
      [{ amount: '0.00280' }, 'amount'],
      [{ tags: other.tags }, 'units'],
      [{ tags: [...statement.tags, ...other.tags] }, 'units'],
    ];
    for (const [change, field] of forged) {
      const signed = await signStatement({ ...statement, ...change }, ledger.ring.signing);
      const { differences } = await verifyStatement(await ledger.evidence(signed));
      expect(differences.join()).toContain(field);
    }
    const [head, , signature] = compact.split('.');
    const [, changed] = (await signStatement({ ...statement, units: 8 }, ledger.ring.signing)).split('.');
    const unsigned = await ledger.evidence(`${head}.${changed}.${signature}`);
    await expect(verifyStatement(unsigned)).rejects.toMatchObject({ code: 'signature_invalid' });
  });

  it('counts a tag only once, even if it is listed twice', async () => {
    const { compact, ledger } = await twoGrants();
    const statement = peekStatement(compact);
    const tags = [...statement.tags, ...statement.tags];
    const signed = await signStatement({ ...statement, tags, units: 14 }, ledger.ring.signing);
    const { counted } = await verifyStatement(await ledger.evidence(signed));
    expect(counted.units).toBe(7);
  });

  it('finds an omitted tag and a receipt that is missing from the log', async () => {
    const { compact, receipts, ledger } = await twoGrants();
    const statement = peekStatement(compact);
    const none = { tags: ['AAAAAAAAAAAAAAAAAAAAAA'], entries: 0, units: 0, amount: '0.0000' };
    const { first: _, last: __, ...rest } = statement;
    const without = await signStatement({ ...rest, ...none }, ledger.ring.signing);
    const unseen = await verifyStatement(await ledger.evidence(without));
    expect(unseen.differences).toEqual([]);
    const seen = await verifyStatement({ ...(await ledger.evidence(without)), receipts });
    expect(seen.differences).toHaveLength(2);
    expect(seen.differences.join()).toContain('is not counted');

    const withheld = await ledger.receipt({ grant: 'g1', units: 9 });
    const found = await verifyStatement({ ...(await ledger.evidence(compact)), receipts: [withheld] });
    expect(found.differences.join()).toContain('not among the entries');
  });

  it('refuses a file of the log in which any byte is changed', async () => {
    const { compact, ledger } = await twoGrants();
    const evidence = await ledger.evidence(compact);
    const path = 'tile/entries/000.p/5';
    const { length } = (await evidence.read(path)) ?? [];
    expect(length).toBe(5 * 55);
    for (let at = 0; at < 5 * 55; at += 1) {
      const flipped = withFile(evidence, path, (bytes) => bytes.with(at, (bytes[at] ?? 0) ^ 1));
      await expect(verifyStatement(flipped)).rejects.toMatchObject({
        code: expect.stringMatching(/^(digest_mismatch|invalid_request)$/),
      });
    }
  });

  it('refuses a log with a removed, added or moved entry, or a missing file', async () => {
    const { compact, ledger } = await twoGrants();
    const evidence = await ledger.evidence(compact);
    const path = 'tile/entries/000.p/5';
    const entry = (bytes: Uint8Array, n: number) => bytes.slice(n * 55, (n + 1) * 55);
    const reorder = (bytes: Uint8Array<ArrayBuffer>, order: readonly number[]) =>
      new Uint8Array(order.flatMap((n) => [...entry(bytes, n)]));
    for (const order of [
      [0, 1, 2, 3],
      [0, 2, 2, 3, 4],
      [1, 0, 2, 3, 4],
      [0, 1, 1, 2, 3, 4],
    ]) {
      const changed = withFile(evidence, path, (bytes) => reorder(bytes, order));
      await expect(verifyStatement(changed)).rejects.toMatchObject({ code: 'digest_mismatch' });
    }
    const missing = withFile(evidence, path, () => undefined);
    await expect(verifyStatement(missing)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('refuses a checkpoint of another log, or with too few cosignatures', async () => {
    const { compact, ledger } = await twoGrants();
    const evidence = await ledger.evidence(compact);
    const statement = peekStatement(compact);
    const elsewhere = await signStatement({ ...statement, log: 'log.other' }, ledger.ring.signing);
    const stranger = await parseVerifierKey(strangeWitness.verifierKey);
    const witnesses = await Promise.all(
      testWitnesses.map(({ verifierKey }) => parseVerifierKey(verifierKey)),
    );
    for (const wrong of [
      { ...evidence, statement: elsewhere },
      { ...evidence, log: stranger },
      { ...evidence, witnesses },
      { ...evidence, keys: new Map() },
    ]) {
      await expect(verifyStatement(wrong)).rejects.toMatchObject({ code: 'signature_invalid' });
    }
    expect((await verifyStatement({ ...evidence, witnesses, quorum: 0 })).differences).toEqual([]);
  });

  it.each(['', 'a.b', 'a.b.c', 'x'.repeat(600_000)])(
    'refuses text that is not a statement (case %#)',
    async (text) => {
      const { ledger } = await twoGrants();
      await expect(verifyStatement(await ledger.evidence(text))).rejects.toMatchObject({
        code: expect.stringMatching(/^(signature_invalid|invalid_request)$/),
      });
    },
  );

  it('refuses other documents that the server signed, and statements that are not canonical', async () => {
    const { compact, ledger } = await twoGrants();
    const statement = peekStatement(compact);
    const { kid, key } = ledger.ring.signing;
    const signed = (text: string, typ: string) =>
      new CompactSign(new TextEncoder().encode(text))
        .setProtectedHeader({ alg: 'EdDSA', kid, typ })
        .sign(key);
    const canonical = canonicalJson(statement);
    const own = 'edgewise-statement+jws';
    expect(await signed(canonical, own)).toBe(compact);
    const wrong = [
      [await signed(canonical, 'edgewise-receipt+jws'), 'signature_invalid'],
      [await signed(JSON.stringify(statement), own), 'invalid_request'],
      [await signed(`${canonical} `, own), 'invalid_request'],
      [await signed(canonicalJson({ ...statement, more: 1 }), own), 'invalid_request'],
      [await signed('no JSON', own), 'invalid_request'],
    ] as const;
    for (const [text, code] of wrong) {
      await expect(verifyStatement(await ledger.evidence(text))).rejects.toMatchObject({ code });
    }
  });
});
