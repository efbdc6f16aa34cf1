/** `edgewise receipt verify --headers`: an answer as curl keeps it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { peekReceipt } from '../../src/governance/receipt/read.ts';
import {
  type AnsweringServer,
  allGood,
  changeHeaders,
  type Kept,
  nonce,
  startAnsweringServer,
} from './answering-server.ts';
import { runInProcess } from './command-line.ts';

let answers: AnsweringServer;
beforeAll(async () => {
  answers = await startAnsweringServer();
});
afterAll(() => answers.close());

describe('edgewise receipt verify --headers', { timeout: 60_000 }, () => {
  it('finds all of a plain answer good with the keys and the proof of its server', async () => {
    const { code, stdout, stderr, outcomes } = await answers.verify(
      await answers.infer([1, 2]),
      '--url',
      answers.url,
    );
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
    const { code, outcomes, stdout } = await answers.verify(
      await answers.inferSigned([1, 2]),
      '--url',
      answers.url,
      '--nonce',
      nonce,
    );
    expect(outcomes).toEqual(allGood);
    expect(stdout).toContain(`as the answer to POST ${answers.url}`);
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
    const kept = await answers.post(Buffer.concat([json, values]), {
      'Inference-Header-Content-Length': String(json.length),
    });
    expect(kept.headers.has('inference-header-content-length')).toBe(true);
    const { outcomes } = await answers.verify(kept, '--url', answers.url, '--request-header', length);
    expect(outcomes).toMatchObject({ inputs: 'good', outputs: 'good' });
  });

  it('needs no server when keys and proof are at hand', async () => {
    const jwks = join(answers.folder, 'jwks.json');
    writeFileSync(jwks, await (await fetch(`${answers.server.url}/.well-known/jwks.json`)).text());
    const logKey = (await (await fetch(`${answers.server.url}/log/key`)).text()).trim();
    const { code, outcomes } = await answers.verify(
      await answers.inferSigned([1, 2]),
      ...['--jwks', jwks, '--log-key', logKey],
    );
    expect(outcomes).toEqual({ ...allGood, 'http signature': 'not given' });
    expect(code).toBe(0);
  });

  it('fetches a receipt that the headers only name by its id', async () => {
    const kept = await answers.infer([1, 2]);
    const compact = kept.headers.get('edgewise-receipt') ?? '';
    const { id } = peekReceipt(compact).receipt;
    const headers = changeHeaders(kept.headers, {
      'Edgewise-Receipt': undefined,
      'Edgewise-Receipt-Id': id,
    });
    await vi.waitFor(
      async () => expect((await fetch(`${answers.server.url}/v1/receipts/${id}`)).status).toBe(200),
      {
        timeout: 20_000,
        interval: 200,
      },
    );
    const { outcomes } = await answers.verify({ ...kept, headers }, '--url', answers.url);
    expect(outcomes).toMatchObject({ signature: 'good', inclusion: 'good', outputs: 'good' });
  });

  it('verifies a refusal, which commits to nothing', async () => {
    const answer = await fetch(answers.closedUrl, {
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
    const { code, outcomes } = await answers.verify(kept, '--url', answers.closedUrl);
    expect(outcomes).toEqual({ ...allGood, inputs: 'not given', outputs: 'not given' });
    expect(code).toBe(0);
  });

  it('ends with 2 if it is not told what to verify, or by whose keys', async () => {
    const kept = await answers.infer([1, 2]);
    expect(await answers.verify(kept)).toMatchObject({ code: 2, stderr: expect.stringContaining('--jwks') });
    const both = await answers.verify(kept, '--url', answers.url, join(answers.folder, 'headers'));
    expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('given twice') });
    const args = ['receipt', 'verify', '--url', answers.url];
    expect((await runInProcess(...args)).code).toBe(2);
    expect((await runInProcess(...args, '--headers', join(answers.folder, 'headers'))).code).toBe(2);
  });
});
