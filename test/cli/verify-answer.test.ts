/** `edgewise receipt verify --headers`: an answer as curl keeps it, whole and tampered with. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { peekReceipt } from '../../src/governance/receipt/read.ts';
import { identityModel } from '../support/onnx-models.ts';
import { publishTiny } from '../support/services.ts';
import { termsOf } from '../support/terms.ts';
import { runInProcess } from './command-line.ts';
import { startTestServer, type TestServer } from './server.ts';

const nonce = 'n-1';
const path = '/v2/models/open/infer';
let server: TestServer;
let folder: string;
let url: string;

/** What a caller has on disk. */
interface Kept {
  readonly status: string;
  readonly headers: Headers;
  readonly answer: Buffer;
  readonly request: Buffer;
}

function digestOf(body: Uint8Array): string {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
}

async function post(request: Buffer<ArrayBuffer>, headers: Record<string, string>): Promise<Kept> {
  const answer = await fetch(url, { method: 'POST', body: request, headers });
  expect(answer.status).toBe(200);
  return {
    status: 'HTTP/1.1 200 OK',
    headers: answer.headers,
    answer: Buffer.from(await answer.arrayBuffer()),
    request,
  };
}

function requestOf(values: readonly number[]): Buffer<ArrayBuffer> {
  const input = { name: 'x', datatype: 'FP32', shape: [values.length], data: values };
  return Buffer.from(JSON.stringify({ inputs: [input] }));
}

function infer(values: readonly number[]): Promise<Kept> {
  return post(requestOf(values), {});
}

/** An answer that is signed as a whole, to a request with a Content-Digest. */
function inferSigned(values: readonly number[]): Promise<Kept> {
  const request = requestOf(values);
  return post(request, {
    'Accept-Signature': `sig=();nonce="${nonce}"`,
    'Content-Digest': digestOf(request),
    Prefer: 'receipt=logged',
  });
}

/** The file that `curl -D` would write. */
function headText({ status, headers }: Pick<Kept, 'status' | 'headers'>): string {
  return `${[status, ...[...headers].map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n')}`;
}

async function verify(kept: Kept, ...args: readonly string[]) {
  const file = (name: string, content: string | Buffer): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const { code, stdout, stderr } = await runInProcess(
    ...['receipt', 'verify', '--headers', file('headers', Buffer.from(headText(kept), 'latin1'))],
    ...['--answer', file('answer', kept.answer), '--request', file('request', kept.request), ...args],
  );
  const outcomes = Object.fromEntries(
    [...stdout.matchAll(/^([a-z ]+?) {2,}(good|BAD|not given)(?: |$)/gm)].map((match) => match.slice(1)),
  );
  return { code, stdout, stderr, outcomes };
}

/** `headers` with each of `changes` set, or removed if it is undefined. */
function changedHeaders(headers: Headers, changes: Record<string, string | undefined>): Headers {
  const changed = new Headers(headers);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) changed.delete(name);
    else changed.set(name, value);
  }
  return changed;
}

const allGood = {
  signature: 'good',
  inclusion: 'good',
  witnesses: 'not given',
  consistency: 'not given',
  inputs: 'good',
  outputs: 'good',
  'content digest': 'good',
  'http signature': 'good',
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'edgewise-answer-'));
  server = await startTestServer();
  url = `${server.url}${path}`;
  const graph = new Uint8Array(identityModel('FP32', ['n']).graph);
  const signature = {
    inputs: [{ name: 'x', datatype: 'FP32' as const, shape: [-1] }],
    outputs: [{ name: 'y', datatype: 'FP32' as const, shape: [-1] }],
  };
  await publishTiny(server.service, graph, { name: 'open', ...signature });
  await publishTiny(server.service, graph, {
    name: 'research',
    ...signature,
    terms: termsOf({ purposes: { permit: ['research'], deny: [] } }),
  });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

describe('edgewise receipt verify --headers', { timeout: 60_000 }, () => {
  it('finds all of a plain answer good with the keys and the proof of its server', async () => {
    const { code, stdout, stderr, outcomes } = await verify(await infer([1, 2]), '--url', url);
    expect(stderr).toBe('');
    expect(outcomes).toEqual({
      ...allGood,
      'content digest': 'not given',
      'http signature': 'not given',
    });
    expect(stdout).toMatch(/\nThe answer holds, as far as it could be checked\.\n$/);
    expect(code).toBe(0);
  });

  it('finds a signed answer good, also by its nonce', async () => {
    const { code, outcomes, stdout } = await verify(
      await inferSigned([1, 2]),
      '--url',
      url,
      '--nonce',
      nonce,
    );
    expect(outcomes).toEqual(allGood);
    expect(stdout).toContain(`as the answer to POST ${url}`);
    expect(code).toBe(0);
  });

  it('finds a binary answer good by the lengths of its JSON', async () => {
    const values = Buffer.from(new Float32Array([1, 2]).buffer);
    const json = Buffer.from(
      JSON.stringify({
        inputs: [{ name: 'x', datatype: 'FP32', shape: [2], parameters: { binary_data_size: 8 } }],
        parameters: { binary_data_output: true },
      }),
    );
    const length = `Inference-Header-Content-Length: ${json.length}`;
    const kept = await post(Buffer.concat([json, values]), {
      'Inference-Header-Content-Length': String(json.length),
    });
    expect(kept.headers.has('inference-header-content-length')).toBe(true);
    const { outcomes } = await verify(kept, '--url', url, '--request-header', length);
    expect(outcomes).toMatchObject({ inputs: 'good', outputs: 'good' });
  });

  it('needs no server when keys and proof are at hand', async () => {
    const jwks = join(folder, 'jwks.json');
    writeFileSync(jwks, await (await fetch(`${server.url}/.well-known/jwks.json`)).text());
    const logKey = (await (await fetch(`${server.url}/log/key`)).text()).trim();
    const { code, outcomes } = await verify(
      await inferSigned([1, 2]),
      ...['--jwks', jwks, '--log-key', logKey],
    );
    expect(outcomes).toEqual({ ...allGood, 'http signature': 'not given' });
    expect(code).toBe(0);
  });

  it('fetches a receipt that the headers only name by its id', async () => {
    const kept = await infer([1, 2]);
    const compact = kept.headers.get('edgewise-receipt') ?? '';
    const { id } = peekReceipt(compact).receipt;
    const headers = changedHeaders(kept.headers, {
      'Edgewise-Receipt': undefined,
      'Edgewise-Receipt-Id': id,
    });
    await vi.waitFor(async () => expect((await fetch(`${server.url}/v1/receipts/${id}`)).status).toBe(200), {
      timeout: 20_000,
      interval: 200,
    });
    const { outcomes } = await verify({ ...kept, headers }, '--url', url);
    expect(outcomes).toMatchObject({ signature: 'good', inclusion: 'good', outputs: 'good' });
  });

  it('verifies a refusal, which commits to nothing', async () => {
    const answer = await fetch(`${server.url}/v2/models/research/infer`, {
      method: 'POST',
      body: '{}',
      headers: { 'Accept-Signature': 'sig=()', 'Edgewise-Purpose': 'marketing' },
    });
    expect(answer.status).toBe(403);
    const kept: Kept = {
      status: 'HTTP/2 403 ',
      headers: answer.headers,
      answer: Buffer.from(await answer.arrayBuffer()),
      request: Buffer.from('{}'),
    };
    const { code, outcomes } = await verify(kept, '--url', `${server.url}/v2/models/research/infer`);
    expect(outcomes).toEqual({ ...allGood, inputs: 'not given', outputs: 'not given' });
    expect(code).toBe(0);
  });

  it('ends with 2 if it is not told what to verify, or by whose keys', async () => {
    const kept = await infer([1, 2]);
    expect(await verify(kept)).toMatchObject({ code: 2, stderr: expect.stringContaining('--jwks') });
    const both = await verify(kept, '--url', url, join(folder, 'headers'));
    expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('given twice') });
    const args = ['receipt', 'verify', '--url', url];
    expect((await runInProcess(...args)).code).toBe(2);
    expect((await runInProcess(...args, '--headers', join(folder, 'headers'))).code).toBe(2);
  });
});

describe('edgewise receipt verify --headers, of a signed answer that was tampered with', {
  timeout: 60_000,
}, () => {
  let kept: Kept;
  let other: Kept;
  beforeAll(async () => {
    kept = await inferSigned([1, 2]);
    other = await inferSigned([3, 4]);
  });

  const withHeaders = (changes: (headers: Headers) => Record<string, string | undefined>) => (): Kept => ({
    ...kept,
    headers: changedHeaders(kept.headers, changes(kept.headers)),
  });
  /** Another character in the middle of a header's value. */
  const flipped = (name: string) =>
    withHeaders((headers) => {
      const value = headers.get(name) ?? '';
      const at = Math.floor(value.length / 2);
      return { [name]: `${value.slice(0, at)}${value[at] === 'A' ? 'B' : 'A'}${value.slice(at + 1)}` };
    });
  const changedAnswer = () => Buffer.from(kept.answer.toString().replace('2', '3'));

  it.each<[string, () => Kept, Record<string, string>]>([
    [
      'another value in the answer',
      () => ({ ...kept, answer: changedAnswer() }),
      { outputs: 'BAD', 'content digest': 'BAD', 'http signature': 'BAD' },
    ],
    [
      'another value in the answer, and the Content-Digest made to fit',
      () => ({
        ...kept,
        answer: changedAnswer(),
        headers: changedHeaders(kept.headers, { 'Content-Digest': digestOf(changedAnswer()) }),
      }),
      { outputs: 'BAD', 'http signature': 'BAD' },
    ],
    [
      'an answer that was cut off',
      () => ({ ...kept, answer: kept.answer.subarray(0, 20) }),
      { outputs: 'BAD', 'content digest': 'BAD', 'http signature': 'BAD' },
    ],
    [
      'white space added to the answer',
      () => ({ ...kept, answer: Buffer.concat([kept.answer, Buffer.from(' ')]) }),
      { 'content digest': 'BAD', 'http signature': 'BAD' },
    ],
    [
      'the answer to another request',
      () => ({ ...other, request: kept.request }),
      { inputs: 'BAD', 'http signature': 'BAD' },
    ],
    [
      'the receipt of another answer',
      withHeaders(() => ({
        'Edgewise-Receipt': other.headers.get('edgewise-receipt') ?? '',
        'Edgewise-Receipt-Proof': undefined,
      })),
      { inputs: 'BAD', outputs: 'BAD', 'http signature': 'BAD' },
    ],
    [
      'the signature of another answer',
      withHeaders(() => ({
        Signature: other.headers.get('signature') ?? '',
        'Signature-Input': other.headers.get('signature-input') ?? '',
      })),
      { 'http signature': 'BAD' },
    ],
    [
      'a byte of the receipt',
      flipped('Edgewise-Receipt'),
      { signature: 'BAD', inclusion: 'BAD', 'http signature': 'BAD' },
    ],
    ['a byte of the proof', flipped('Edgewise-Receipt-Proof'), { inclusion: 'BAD' }],
    ['the salt', flipped('Edgewise-Receipt-Salt'), { inputs: 'BAD', outputs: 'BAD' }],
    [
      'no salt',
      withHeaders(() => ({ 'Edgewise-Receipt-Salt': undefined })),
      { inputs: 'BAD', outputs: 'BAD' },
    ],
    [
      'a byte of the Content-Digest',
      flipped('Content-Digest'),
      { 'content digest': 'BAD', 'http signature': 'BAD' },
    ],
    [
      'no Content-Digest',
      withHeaders(() => ({ 'Content-Digest': undefined })),
      { 'content digest': 'not given', 'http signature': 'BAD' },
    ],
    ['a byte of the signature', flipped('Signature'), { 'http signature': 'BAD' }],
    ['a byte of what is signed', flipped('Signature-Input'), { 'http signature': 'BAD' }],
    [
      'no Signature-Input',
      withHeaders(() => ({ 'Signature-Input': undefined })),
      { 'http signature': 'BAD' },
    ],
    ['no Signature', withHeaders(() => ({ Signature: undefined })), { 'http signature': 'BAD' }],
    ['another status', () => ({ ...kept, status: 'HTTP/1.1 201 Created' }), { 'http signature': 'BAD' }],
    [
      'a receipt that stands there twice',
      withHeaders((headers) => ({ 'Edgewise-Receipt': `${headers.get('edgewise-receipt')}, x` })),
      { signature: 'BAD', inclusion: 'BAD', inputs: 'BAD', outputs: 'BAD', 'http signature': 'BAD' },
    ],
    [
      'bytes that are not ASCII in the receipt',
      withHeaders(() => ({ 'Edgewise-Receipt': '\u00e9' })),
      { signature: 'BAD', inclusion: 'BAD', inputs: 'BAD', outputs: 'BAD', 'http signature': 'BAD' },
    ],
    [
      'another request',
      () => ({ ...kept, request: other.request }),
      { inputs: 'BAD', 'http signature': 'BAD' },
    ],
  ])('names the levels that do not hold: %s', async (_, tamper, expected) => {
    const { code, stdout, stderr, outcomes } = await verify(tamper(), '--url', url);
    expect(stderr).toBe('');
    expect(outcomes).toEqual({ ...allGood, ...expected });
    expect(stdout).toMatch(/\nThe answer does NOT hold\.\n$/);
    expect(code).toBe(1);
  });

  it.each<[string, () => readonly string[]]>([
    ['another address', () => ['--url', `${server.url}/v2/models/research/infer`]],
    ['another method', () => ['--url', url, '--method', 'put']],
    ['another nonce', () => ['--url', url, '--nonce', 'n-2']],
  ])('finds that the answer is for %s', async (_, args) => {
    const { code, outcomes } = await verify(kept, ...args());
    expect(outcomes).toEqual({ ...allGood, 'http signature': 'BAD' });
    expect(code).toBe(1);
  });

  it('finds that the signature was removed, if a nonce says that there was one', async () => {
    const unsigned = withHeaders(() => ({ Signature: undefined, 'Signature-Input': undefined }))();
    const { code, outcomes } = await verify(unsigned, '--url', url, '--nonce', nonce);
    expect([code, outcomes['http signature']]).toEqual([1, 'BAD']);
  });

  it('ends with 1 if the receipt was removed', async () => {
    const { code, stderr } = await verify(
      withHeaders(() => ({ 'Edgewise-Receipt': undefined }))(),
      '--url',
      url,
    );
    expect([code, stderr]).toEqual([1, expect.stringContaining('has no Edgewise-Receipt')]);
  });
});
