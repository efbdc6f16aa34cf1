/** Answers of a test server as curl keeps them on disk, and `edgewise receipt verify` over their files. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { identityModel } from '../support/onnx-models.ts';
import { publishTiny } from '../support/services.ts';
import { termsOf } from '../support/terms.ts';
import { type Outcome, runInProcess } from './command-line.ts';
import { startTestServer, type TestServer } from './server.ts';

/** The nonce of signed answers. */
export const nonce = 'n-1';

/** What a caller has on disk. */
export interface Kept {
  readonly status: string;
  readonly headers: Headers;
  readonly answer: Buffer;
  readonly request: Buffer;
}

export interface AnswerVerification extends Outcome {
  /** Level → good, BAD or not given. */
  readonly outcomes: Readonly<Record<string, string>>;
}

export interface AnsweringServer {
  readonly server: TestServer;
  /** Where the files of kept answers are written. */
  readonly folder: string;
  /** Address of an open model whose output is its input; `closedUrl`: of one that is for research only. */
  readonly url: string;
  readonly closedUrl: string;
  post(request: Buffer<ArrayBuffer>, headers: Record<string, string>): Promise<Kept>;
  infer(values: readonly number[]): Promise<Kept>;
  /** An answer that is signed as a whole, to a request with a Content-Digest. */
  inferSigned(values: readonly number[]): Promise<Kept>;
  verify(kept: Kept, ...args: readonly string[]): Promise<AnswerVerification>;
  close(): Promise<void>;
}

export async function startAnsweringServer(): Promise<AnsweringServer> {
  const folder = mkdtempSync(join(tmpdir(), 'edgewise-answer-'));
  const server = await startTestServer();
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
  const url = `${server.url}/v2/models/open/infer`;

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

  function write(name: string, content: string | Buffer): string {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  }

  return {
    server,
    folder,
    url,
    closedUrl: `${server.url}/v2/models/research/infer`,
    post,
    infer: (values) => post(requestOf(values), {}),
    inferSigned(values) {
      const request = requestOf(values);
      return post(request, {
        'Accept-Signature': `sig=();nonce="${nonce}"`,
        'Content-Digest': contentDigestOf(request),
        Prefer: 'receipt=logged',
      });
    },
    async verify(kept, ...args) {
      const outcome = await runInProcess(
        ...['receipt', 'verify', '--headers', write('headers', Buffer.from(headText(kept), 'latin1'))],
        ...['--answer', write('answer', kept.answer), '--request', write('request', kept.request), ...args],
      );
      const outcomes = Object.fromEntries(
        [...outcome.stdout.matchAll(/^([a-z ]+?) {2,}(good|BAD|not given)(?: |$)/gm)].map((match) =>
          match.slice(1),
        ),
      );
      return { ...outcome, outcomes };
    },
    async close() {
      await server.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** The outcomes of a signed answer that is as the server sent it. */
export const allGood = {
  signature: 'good',
  inclusion: 'good',
  witnesses: 'not given',
  consistency: 'not given',
  inputs: 'good',
  outputs: 'good',
  'content digest': 'good',
  'http signature': 'good',
};

export function contentDigestOf(body: Uint8Array): string {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
}

/** Returns `headers` with each of `changes` set, or removed if it is undefined. */
export function changeHeaders(headers: Headers, changes: Record<string, string | undefined>): Headers {
  const changed = new Headers(headers);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) changed.delete(name);
    else changed.set(name, value);
  }
  return changed;
}

function requestOf(values: readonly number[]): Buffer<ArrayBuffer> {
  const input = { name: 'x', datatype: 'FP32', shape: [values.length], data: values };
  return Buffer.from(JSON.stringify({ inputs: [input] }));
}

/** The file that `curl -D` would write. */
function headText({ status, headers }: Pick<Kept, 'status' | 'headers'>): string {
  return [status, ...[...headers].map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n');
}
