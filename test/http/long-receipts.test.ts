/** Receipts that no header holds, and what becomes of answers that could not be accounted for. */
import { describe, expect, it } from 'vitest';
import { createFakeEngine, fakeGraph } from '../../src/engine/fake.ts';
import { EdgewiseError } from '../../src/errors.ts';
import type { LazyRecord } from '../../src/governance/log/appender.ts';
import { memoryLog } from '../../src/governance/log/memory-log.ts';
import type { LogRecord, ReceiptLog } from '../../src/governance/log/types.ts';
import { createApp } from '../../src/http/app.ts';
import { maxReceiptHeaderLength } from '../../src/http/record/receipt-headers.ts';
import { memoryStateStore } from '../../src/storage/memory.ts';
import { ManualClock } from '../support/clock.ts';
import { testGovernanceBindings } from '../support/governance-keys.ts';
import { bearer, callerKey, publishTiny, type TestService, testService } from '../support/services.ts';
import { termsOf } from '../support/terms.ts';

const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, 2] });
const path = '/v2/models/wide/infer';
const wanted = {
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
  it('is given by its id, and had from the log at once', async () => {
    const service = await wide(100);
    const answer = await service.fetch(path, { ...wanted, headers: bearer(callerKey) });
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

  it('stands in the header as long as it is short', async () => {
    const answer = await (await wide(2)).fetch(path, wanted);
    expect(answer.headers.has('edgewise-receipt-id')).toBe(false);
    expect(answer.headers.get('edgewise-receipt')?.length).toBeLessThan(maxReceiptHeaderLength);
  });

  it('is covered by the signature of the answer', async () => {
    const answer = await (await wide(100)).fetch(path, {
      ...wanted,
      headers: { 'Accept-Signature': 'sig=()' },
    });
    expect(answer.headers.get('signature-input')).toContain('"edgewise-receipt-id"');
  });

  it('is no answer where the log does not take it, and costs nothing', async () => {
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
    expect((await service.fetch(path, wanted)).status).toBe(429);
    expect((await service.fetch(path, wanted)).status).toBe(200);
  });

  it('is refused where the log could not keep it, saying what to do', async () => {
    const service = await wide(256, { nameLength: 240 });
    const refused = await service.fetch(path, wanted);
    expect(refused.status).toBe(413);
    expect(await refused.json()).toEqual({ error: expect.stringContaining('ask for fewer outputs') });
    const fewer = JSON.stringify({ ...JSON.parse(wanted.body), outputs: [{ name: nameOf(7, 240) }] });
    expect((await service.fetch(path, { ...wanted, body: fewer })).status).toBe(200);
  });
});

describe('an answer that was wanted with its proof, and is not proven in time', () => {
  it('is charged as the log counts it, and told of by its receipt', async () => {
    const receipts = await logThat(() => ({ prove: async () => undefined }));
    const service = await wide(1, { receipts }, termsOf({ quota: { units: 1, per: 'total' } }));
    const first = await service.fetch(path, { ...wanted, headers: { Prefer: 'receipt=logged' } });
    expect(first.status).toBe(503);
    expect(first.headers.get('edgewise-error')).toBe('records_unavailable');
    expect(first.headers.has('edgewise-receipt')).toBe(true);
    const second = await service.fetch(path, wanted);
    expect(second.headers.get('edgewise-error')).toBe('quota_exceeded');
  });
});

describe('what cannot be accounted for', () => {
  it('is not answered where more waits for the log than may', async () => {
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
    const answer = await app.fetch(new Request(`http://edge.test${path}`, wanted));
    expect(answer.status).toBe(503);
    expect(answer.headers.get('edgewise-error')).toBe('records_unavailable');
    expect(flushed).toBe(1);
  });

  it('is not answered by an edge that does not account at all', async () => {
    const { services } = await wide(1);
    const app = createApp({ ...services, governance: undefined });
    const answer = await app.fetch(new Request(`http://edge.test${path}`, wanted));
    expect(answer.headers.get('edgewise-error')).toBe('records_unavailable');
  });

  it('is on record also while its text cannot be kept', async () => {
    const appended: LogRecord[] = [];
    const receipts = await logThat(() => ({ append: async (records) => void appended.push(...records) }));
    const records = memoryStateStore();
    const broken = async (key: string) => {
      if (key.startsWith('vault/')) throw new Error('the bucket is away');
      return records.get(key);
    };
    const service = await wide(1, { receipts, records: { ...records, get: broken } });
    expect((await service.fetch(path, wanted)).status).toBe(200);
    await expect.poll(() => appended.map(({ sealed }) => sealed)).toEqual([undefined]);
    expect(service.logLines.join()).toContain('receipt_not_kept');
  });
});

describe('the answer of a model that draws random numbers', () => {
  it('is promised to nobody a second time', async () => {
    const service = await testService({ engine: createFakeEngine() });
    const signature = { inputs: [spec('x')], outputs: [spec('y')] };
    const graph = fakeGraph({ op: 'identity', ...signature });
    await publishTiny(service, graph, { name: 'wide', ...signature, random: true });
    const answer = await service.fetch(path, wanted);
    const [, payload = ''] = (answer.headers.get('edgewise-receipt') ?? '').split('.');
    expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toMatchObject({
      route: { reproducibility: 'none' },
    });
  });
});
