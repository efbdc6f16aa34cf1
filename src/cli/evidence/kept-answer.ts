/** An answer as a caller kept it: the response headers that `curl -D` wrote, and the bodies of response and request. */
import type { Bytes } from '../../bytes.ts';
import { bytesAt } from './places.ts';
import { parseHeaderLines, parseResponseHead, type ResponseHead } from './response-head.ts';

export interface KeptAnswer extends ResponseHead {
  readonly body: Bytes;
  readonly requestHeaders: Headers;
  readonly requestBody: Bytes | undefined;
}

export interface KeptAnswerFiles {
  readonly headers: string;
  readonly answer: string;
  readonly request?: string | undefined;
  /** Headers of the request, `Name: value`. */
  readonly requestHeaders: readonly string[];
}

/** @throws EdgewiseError `invalid_request` naming the file that cannot be read. */
export async function readKeptAnswer(files: KeptAnswerFiles): Promise<KeptAnswer> {
  // Headers are bytes: each byte is one character of the value.
  const text = Buffer.from(await bytesAt(files.headers)).toString('latin1');
  return {
    ...parseResponseHead(text, files.headers),
    body: await bytesAt(files.answer),
    requestHeaders: parseHeaderLines(files.requestHeaders, '--request-header'),
    requestBody: files.request === undefined ? undefined : await bytesAt(files.request),
  };
}
