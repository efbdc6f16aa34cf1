/** How often callers may ask, through the whole service. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { StateStore } from '../../src/storage/types.ts';
import { ManualClock } from '../support/clock.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { testLogKey } from '../support/governance-keys.ts';
import { memoryLog } from '../support/memory-log.ts';
import { memoryStateStore } from '../support/memory-stores.ts';
import {
  addressHeader,
  adminKey,
  callerKey,
  publishTiny,
  type TestService,
  testService,
} from '../support/services.ts';
import { termsOf } from '../support/terms.ts';
import { type Answer, asking } from './account-support.ts';

let clock: ManualClock;
let reads: string[];
let service: TestService;
const { admin, ask, newKey } = asking(() => service);

beforeEach(async () => {
  clock = new ManualClock();
  reads = [];
  const kept = memoryStateStore();
  const records: StateStore = {
    ...kept,
    get: (key) => {
      reads.push(key);
      return kept.get(key);
    },
  };
  service = await testService({
    engine: createFakeEngine(),
    clock,
    records,
    variables: { EDGEWISE_RATE_PER_MINUTE: '5', EDGEWISE_ANONYMOUS_RATE_PER_MINUTE: '3' },
  });
});

const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, 2] });

async function from(address: string, key?: string): Promise<Response> {
  const authorization = key === undefined ? {} : { authorization: `Bearer ${key}` };
  return service.fetch('/v2/models', { headers: { [addressHeader]: address, ...authorization } });
}
const times = async <T>(count: number, ask: () => Promise<T>): Promise<T[]> => {
  const answers: T[] = [];
  for (let index = 0; index < count; index += 1) answers.push(await ask());
  return answers;
};
const statuses = (answers: readonly { readonly status: number }[]) => answers.map(({ status }) => status);
const limits = ({ headers }: Pick<Answer, 'headers'>) =>
  [
    'RateLimit-Policy',
    'RateLimit',
    'x-ratelimit-limit-requests',
    'x-ratelimit-remaining-requests',
    'x-ratelimit-reset-requests',
  ].map((name) => headers.get(name));

describe('a caller with a key', () => {
  it('is told on each answer what is left, and is refused beyond it until the reset', async () => {
    const { text } = await newKey();
    const list = () => ask('GET', '/v2/models', text);
    const answers = await times(6, list);
    expect(statuses(answers)).toEqual([200, 200, 200, 200, 200, 429]);
    const [first, , , , , last] = answers;
    expect(first && limits(first)).toEqual(['"default";q=5;w=60', '"default";r=4;t=66', '5', '4', '66s']);
    expect(last && limits(last)).toEqual(['"default";q=5;w=60', '"default";r=0;t=66', '5', '0', '66s']);
    expect(last?.error).toBe('quota_exceeded');
    expect(last?.headers.get('Retry-After')).toBe('66');
    // A refusal of another kind says it as well.
    expect((await newKey()).text).not.toBe(text);
    clock.advance(66_000);
    expect(await list()).toMatchObject({ status: 200 });
    const missing = await ask('GET', '/v2/models/none', text);
    expect([missing.status, ...limits(missing)]).toEqual([
      404,
      '"default";q=5;w=60',
      '"default";r=3;t=66',
      '5',
      '3',
      '66s',
    ]);
  });

  it('has the rate of its scopes before the default rate', async () => {
    const { text } = await newKey({ rate: { requests: 2, perSeconds: 10 } });
    const answers = await times(3, () => ask('GET', '/v1/me', text));
    expect(statuses(answers)).toEqual([200, 200, 429]);
    expect(answers[2]?.headers.get('RateLimit-Policy')).toBe('"default";q=2;w=10');
    const { text: other } = await newKey();
    expect(await ask('GET', '/v1/me', other)).toMatchObject({ status: 200 });
  });

  it('from the configuration is counted, the admin key is not', async () => {
    expect(statuses(await times(6, () => ask('GET', '/v2/models', callerKey)))).toEqual([
      200, 200, 200, 200, 200, 429,
    ]);
    expect(new Set(statuses(await times(20, () => ask('GET', '/v2/models', adminKey))))).toEqual(
      new Set([200]),
    );
    expect(limits(await ask('GET', '/v2/models', adminKey))).toEqual([null, null, null, null, null]);
  });
});

describe('a caller without a key', () => {
  it("is counted by address, and by the subscriber's prefix for IPv6", async () => {
    expect(statuses(await times(4, () => from('192.0.2.1')))).toEqual([200, 200, 200, 429]);
    expect((await from('192.0.2.2')).status).toBe(200);
    expect(statuses(await times(2, () => from('2001:db8::1')))).toEqual([200, 200]);
    expect(statuses([await from('2001:db8::2'), await from('2001:db8:0:0:f::3')])).toEqual([200, 429]);
    expect((await from('2001:db8:0:1::1')).status).toBe(200);
  });

  it('is not counted if its address is not known', async () => {
    expect(new Set(statuses(await times(10, () => ask('GET', '/v2/models'))))).toEqual(new Set([200]));
  });

  it('has thirty refusals a minute put on record, and none after that', async () => {
    const appended: unknown[] = [];
    const log = await memoryLog({ clock, logKey: testLogKey, witnesses: '' });
    const append = async (records: readonly unknown[]) => {
      appended.push(...records);
    };
    service = await testService({
      engine: createFakeEngine(),
      clock,
      receipts: { ...log, append },
    });
    const tensors = { inputs: [spec('x')], outputs: [spec('y')] };
    const graph = fakeGraph({ op: 'identity', ...tensors });
    await publishTiny(service, graph, { name: 'closed', ...tensors, terms: termsOf({ anonymous: false }) });
    const infer = (address: string) =>
      service.fetch('/v2/models/closed/infer', { method: 'POST', headers: { [addressHeader]: address } });
    const answers = await times(32, () => infer('192.0.2.1'));
    expect(statuses(answers)).toEqual([...Array<number>(30).fill(401), 429, 429]);
    expect(answers.map(({ headers }) => headers.has('edgewise-receipt')).lastIndexOf(true)).toBe(29);
    expect(answers.at(-1)?.headers.get('retry-after')).toBe('66');
    expect((await infer('192.0.2.2')).status).toBe(401);
    const recorded = () => {
      clock.advance(10);
      return appended.length;
    };
    await expect.poll(recorded).toBe(31);
    clock.advance(66_000);
    expect((await infer('192.0.2.1')).status).toBe(401);
  });

  it('does not leave its address anywhere', async () => {
    await times(4, () => from('192.0.2.77'));
    await from('192.0.2.77', 'no key');
    expect(service.logLines.length).toBeGreaterThan(0);
    expect(service.logLines.join()).not.toContain('192.0.2');
  });
});

describe('a caller who guesses keys', () => {
  const made = (index: number) => `ew_made-up-${index}_${'A'.repeat(43)}`;

  it('has thirty keys looked up in a minute, and costs no read after that', async () => {
    let index = 0;
    const guess = () => from('192.0.2.1', made(index++));
    expect(new Set(statuses(await times(30, guess)))).toEqual(new Set([401]));
    expect(reads).toHaveLength(30);
    const refused = await times(200, guess);
    expect(new Set(statuses(refused))).toEqual(new Set([429]));
    expect(Number(refused[0]?.headers.get('Retry-After'))).toBeGreaterThan(0);
    expect(reads).toHaveLength(30);
    // Others go on, from the same address too where their key is known.
    expect((await from('192.0.2.2', made(0))).status).toBe(401);
    expect((await from('192.0.2.1', callerKey)).status).toBe(200);
    clock.advance(66_000);
    expect((await guess()).status).toBe(401);
  });

  it('does not lock out a key that is in use', async () => {
    const { text } = await newKey({ rate: { requests: 1000, perSeconds: 60 } });
    expect((await from('192.0.2.1', text)).status).toBe(200);
    for (let index = 0; index < 40; index += 1) await from('192.0.2.1', made(index));
    expect((await from('192.0.2.1', text)).status).toBe(200);
  });

  it('costs no read with text that is no key', async () => {
    for (const text of ['x', 'ew_a_short', `ew_A_${'A'.repeat(43)}`, 'e30.e30.e30']) {
      expect((await from('192.0.2.1', text)).status).toBe(401);
    }
    expect(reads).toEqual([]);
  });

  it('gets the same refusal for the same key again without a read', async () => {
    for (let count = 0; count < 10; count += 1) expect((await from('192.0.2.1', made(0))).status).toBe(401);
    expect(reads).toHaveLength(1);
    expect(await admin('GET', '/tenants')).toMatchObject({ status: 200 });
  });
});
