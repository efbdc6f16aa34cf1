/** Receipts that no header holds, and what becomes of answers that could not be accounted for. */
import { describe, expect, it } from 'vitest';
import { EdgewiseError } from '../../src/errors.ts';
import type { LazyRecord } from '../../src/governance/log/appender.ts';
import type { LogRecord, ReceiptLog } from '../../src/governance/log/types.ts';
import { createApp } from '../../src/http/app.ts';
import { maxReceiptHeaderLength } from '../../src/http/record/receipt-headers.ts';
import { ManualClock } from '../support/clock.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { testGovernanceBindings } from '../support/governance-keys.ts';
import { memoryLog } from '../support/memory-log.ts';
import { memoryStateStore } from '../support/memory-stores.ts';
import { bearer, callerKey, publishTiny, type TestService, testService } from '../support/services.ts';
import { termsOf } from '../support/terms.ts';

const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, 2] });
const path = '/v2/models/wide/infer';
const infer = {
  method: 'POST',
  body: JSON.stringify({ inputs: [{ ...spec('x'), shape: [1, 2], data: [1, 2] }] }),
};

type Options = NonNullable<Parameters<typeof testService>[0]> & { readonly nameLength?: number };

const nameOf = (output: number, length: number) => String(output).padStart(length, 'o');

async function wide(outputs: number, options: Options = {}, terms = termsOf({})): Promise<TestService> {
  const service = await testService({ engine: createFakeEngine(), ...options });
  const { nameLength = 40 } = options;
  const names = Array.from({ length: outputs }, (_, at) => spec(nameOf(at, nameLength)));
  const signature = { inputs: [spec('x')], outputs: names };
  const graph = fakeGraph({ op: 'add', ...signature });
  await publishTiny(service, graph, { name: 'wide', maxBatchSize: 8, ...signature, terms });
  return service;
}

async function logThat(change: (log: ReceiptLog) => Partial<ReceiptLog>): Promise<ReceiptLog> {
  const log = await memoryLog({
    clock: new ManualClock(),
    logKey: testGovernanceBindings.EDGEWISE_LOG_KEY,
    witnesses: '',
  });
  return { ...log, ...change(log) };
}

describe('a receipt that is too long for a header', () => {
  it('is given as an id, and can be read from the log at once', async () => {
    const service = await wide(100);
    const answer = await service.fetch(path, { ...infer, headers: bearer(callerKey) });
    expect(answer.status).toBe(200);
    expect(answer.headers.has('edgewise-receipt')).toBe(false);
    expect(answer.headers.get('edgewise-receipt-salt')).toHaveLength(43);
    const id = answer.headers.get('edgewise-receipt-id') ?? '';
    const kept = await service.fetch(`/v1/receipts/${id}`, { headers: bearer(callerKey) });
    expect(kept.status).toBe(200);
    expect(JSON.parse(await kept.text()).receipt.length).toBeGreaterThan(maxReceiptHeaderLength);
    const lengths = [...answer.headers].map(([name, value]) => name.length + value.length);
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBeLessThan(4096);
  });

  it('is in the header while it is short enough', async () => {
    const answer = await (await wide(2)).fetch(path, infer);
    expect(answer.headers.has('edgewise-receipt-id')).toBe(false);
    expect(answer.headers.get('edgewise-receipt')?.length).toBeLessThan(maxReceiptHeaderLength);
  });

  it('is covered by the signature of the answer', async () => {
    const answer = await (await wide(100)).fetch(path, {
      ...infer,
      headers: { 'Accept-Signature': 'sig=()' },
    });
    expect(answer.headers.get('signature-input')).toContain('"edgewise-receipt-id"');
  });

  it('makes the request fail without a charge if the log does not take it', async () => {
    const quota = { units: 1, per: 'total' } as const;
    const states = ['overloaded', 'up'];
    const receipts = await logThat((log) => ({
      append: async (records) => {
        if (records.some(({ entry }) => entry[52] === 1) && states.shift() === 'overloaded') {
          throw new EdgewiseError('overloaded', 'the log takes no more');
        }
        await log.append(records);
      },
    }));
    const service = await wide(100, { receipts }, termsOf({ quota }));
    expect((await service.fetch(path, infer)).status).toBe(429);
    expect((await service.fetch(path, infer)).status).toBe(200);
  });

  it('makes the request fail with advice if the log cannot keep it', async () => {
    const service = await wide(256, { nameLength: 240 });
    const refused = await service.fetch(path, infer);
    expect(refused.status).toBe(413);
    expect(await refused.json()).toEqual({ error: expect.stringContaining('ask for fewer outputs') });
    const fewer = JSON.stringify({ ...JSON.parse(infer.body), outputs: [{ name: nameOf(7, 240) }] });
    expect((await service.fetch(path, { ...infer, body: fewer })).status).toBe(200);
  });
});

describe('an answer whose proof is asked for and does not come in time', () => {
  it('is charged, because the log has it, and its receipt is returned', async () => {
    const receipts = await logThat(() => ({ prove: async () => undefined }));
    const service = await wide(1, { receipts }, termsOf({ quota: { units: 1, per: 'total' } }));
    const first = await service.fetch(path, { ...infer, headers: { Prefer: 'receipt=logged' } });
    expect(first.status).toBe(503);
    expect(first.headers.get('edgewise-error')).toBe('records_unavailable');
    expect(first.headers.has('edgewise-receipt')).toBe(true);
    const second = await service.fetch(path, infer);
    expect(second.headers.get('edgewise-error')).toBe('quota_exceeded');
  });
});

describe('a request that cannot be put on record', () => {
  it('is not answered while too many receipts wait for the log', async () => {
    const service = await wide(1);
    const { governance } = service.services;
    if (governance === undefined) throw new Error('an edge without governance');
    let flushed = 0;
    const flush = async () => {
      flushed += 1;
    };
    const full = {
      add: (receipt: LazyRecord) => governance.appender.add(receipt),
      hasRoom: () => false,
      flush,
    };
    const app = createApp({ ...service.services, governance: { ...governance, appender: full } });
    const answer = await app.fetch(new Request(`http://edge.test${path}`, infer));
    expect(answer.status).toBe(503);
    expect(answer.headers.get('edgewise-error')).toBe('records_unavailable');
    expect(flushed).toBe(1);
  });

  it('is not answered by an edge without records', async () => {
    const { services } = await wide(1);
    const app = createApp({ ...services, governance: undefined });
    const answer = await app.fetch(new Request(`http://edge.test${path}`, infer));
    expect(answer.headers.get('edgewise-error')).toBe('records_unavailable');
  });

  it('is on record even while its text cannot be sealed', async () => {
    const appended: LogRecord[] = [];
    const receipts = await logThat(() => ({ append: async (records) => void appended.push(...records) }));
    const records = memoryStateStore();
    const broken = async (key: string) => {
      if (key.startsWith('vault/')) throw new Error('the bucket is away');
      return records.get(key);
    };
    const service = await wide(1, { receipts, records: { ...records, get: broken } });
    expect((await service.fetch(path, infer)).status).toBe(200);
    await expect.poll(() => appended.map(({ sealed }) => sealed)).toEqual([undefined]);
    expect(service.logLines.join()).toContain('receipt_not_kept');
  });
});

describe('the answer of a model that draws random numbers', () => {
  it('has a receipt that promises no exact replay', async () => {
    const service = await testService({ engine: createFakeEngine() });
    const signature = { inputs: [spec('x')], outputs: [spec('y')] };
    const graph = fakeGraph({ op: 'identity', ...signature });
    await publishTiny(service, graph, { name: 'wide', ...signature, random: true });
    const answer = await service.fetch(path, infer);
    const [, payload = ''] = (answer.headers.get('edgewise-receipt') ?? '').split('.');
    expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toMatchObject({
      route: { reproducibility: 'none' },
    });
  });
});
