/** `edgewise receipt verify --headers` over answers that were tampered with: each level that does not hold is named. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peekReceipt } from '../../src/governance/receipt/read.ts';
import {
  type AnsweringServer,
  allGood,
  changeHeaders,
  contentDigestOf,
  type Kept,
  nonce,
  startAnsweringServer,
} from './answering-server.ts';

let answers: AnsweringServer;
beforeAll(async () => {
  answers = await startAnsweringServer();
});
afterAll(() => answers.close());

describe('edgewise receipt verify --headers, of a signed answer that was tampered with', {
  timeout: 60_000,
}, () => {
  let kept: Kept;
  let other: Kept;
  beforeAll(async () => {
    kept = await answers.inferSigned([1, 2]);
    other = await answers.inferSigned([3, 4]);
  });

  const withHeaders = (changes: (headers: Headers) => Record<string, string | undefined>) => (): Kept => ({
    ...kept,
    headers: changeHeaders(kept.headers, changes(kept.headers)),
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
        headers: changeHeaders(kept.headers, { 'Content-Digest': contentDigestOf(changedAnswer()) }),
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
    [
      'a proof that is not base64url',
      withHeaders(() => ({ 'Edgewise-Receipt-Proof': '*' })),
      { inclusion: 'BAD' },
    ],
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
    const { code, stdout, stderr, outcomes } = await answers.verify(tamper(), '--url', answers.url);
    expect(stderr).toBe('');
    expect(outcomes).toEqual({ ...allGood, ...expected });
    expect(stdout).toMatch(/\nThe answer does NOT hold\.\n$/);
    expect(code).toBe(1);
  });

  it.each<[string, () => readonly string[]]>([
    ['another address', () => ['--url', answers.closedUrl]],
    ['another method', () => ['--url', answers.url, '--method', 'put']],
    ['another nonce', () => ['--url', answers.url, '--nonce', 'n-2']],
  ])('finds that the answer is for %s', async (_, args) => {
    const { code, outcomes } = await answers.verify(kept, ...args());
    expect(outcomes).toEqual({ ...allGood, 'http signature': 'BAD' });
    expect(code).toBe(1);
  });

  it('finds that the signature was removed, if a nonce says that there was one', async () => {
    const unsigned = withHeaders(() => ({ Signature: undefined, 'Signature-Input': undefined }))();
    const { code, outcomes } = await answers.verify(unsigned, '--url', answers.url, '--nonce', nonce);
    expect([code, outcomes['http signature']]).toEqual([1, 'BAD']);
  });

  it('ends with 1 if the receipt was removed', async () => {
    const { code, stderr } = await answers.verify(
      withHeaders(() => ({ 'Edgewise-Receipt': undefined }))(),
      '--url',
      answers.url,
    );
    expect([code, stderr]).toEqual([1, expect.stringContaining('has no Edgewise-Receipt')]);
  });

  it('ends with 1 if the receipt in a file is not the one that the headers name', async () => {
    const file = join(answers.folder, 'receipt');
    writeFileSync(file, other.headers.get('edgewise-receipt') ?? '');
    const { id } = peekReceipt(kept.headers.get('edgewise-receipt') ?? '').receipt;
    const named = withHeaders(() => ({ 'Edgewise-Receipt': undefined, 'Edgewise-Receipt-Id': id }))();
    const { code, stderr } = await answers.verify(named, '--url', answers.url, file);
    expect([code, stderr]).toEqual([1, expect.stringContaining(`expected ${id}`)]);
  });
});
