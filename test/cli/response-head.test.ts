import { describe, expect, it } from 'vitest';
import { parseHeaderLines, parseResponseHead } from '../../src/cli/evidence/response-head.ts';

const crlf = (...lines: readonly string[]) => lines.join('\r\n');
const parse = (text: string) => {
  const { status, headers } = parseResponseHead(text, 'headers.txt');
  return { status, headers: Object.fromEntries(headers) };
};

describe('parseResponseHead()', () => {
  it.each([
    ['HTTP/1.1', 'HTTP/1.1 200 OK'],
    ['HTTP/1.1 without a reason', 'HTTP/1.1 200'],
    ['HTTP/2, as curl writes it', 'HTTP/2 200 '],
    ['HTTP/3', 'HTTP/3 200'],
  ])('reads %s', (_, status) => {
    expect(parse(crlf(status, 'Content-Type: application/json', 'edgewise-receipt: a.b.c', '', ''))).toEqual({
      status: 200,
      headers: { 'content-type': 'application/json', 'edgewise-receipt': 'a.b.c' },
    });
  });

  it.each([
    ['100 Continue', crlf('HTTP/1.1 100 Continue', '')],
    ['early hints', crlf('HTTP/2 103 ', 'link: </a>', '')],
    ["a proxy's answer to CONNECT", crlf('HTTP/1.1 200 Connection established', 'Via: proxy', '')],
    [
      'redirects',
      crlf('HTTP/1.1 301 Moved', 'Location: /b', '', 'HTTP/1.1 307 Temporary', 'Location: /c', ''),
    ],
  ])('reads the final response after %s', (_, before) => {
    const text = crlf(before, 'HTTP/1.1 403 Forbidden', 'Edgewise-Receipt: a.b.c', '', '');
    expect(parse(text)).toEqual({ status: 403, headers: { 'edgewise-receipt': 'a.b.c' } });
  });

  it('takes no header from the trailer behind the body', () => {
    const text = crlf('HTTP/1.1 200 OK', 'Edgewise-Receipt: a.b.c', '', 'Edgewise-Receipt: d.e.f', '', '');
    expect(parse(text).headers).toEqual({ 'edgewise-receipt': 'a.b.c' });
  });

  it('reads lines that end with a line feed alone, and a text that ends without one', () => {
    expect(parse('HTTP/1.1 200 OK\nA:  1 \nA: 2\nEmpty:')).toEqual({
      status: 200,
      headers: { a: '1, 2', empty: '' },
    });
  });

  it.each([
    ['no status line', 'Content-Type: a', /headers\.txt, line 1: "Content-Type: a" .* status line/],
    [
      'a line that is not a header',
      crlf('HTTP/1.1 200 OK', 'A: 1', '{"outputs"'),
      /line 3: .* "Name: value"/,
    ],
    ['a folded header', crlf('HTTP/1.1 200 OK', 'A: 1', ' 2'), /line 3/],
    ['a character that no header may have', crlf('HTTP/1.1 200 OK', 'A: \0'), /line 2/],
    ['no final response', crlf('HTTP/1.1 100 Continue', '', ''), /no final response/],
    ['nothing', '', /no final response/],
  ])('throws for %s', (_, text, message) => {
    expect(() => parse(text)).toThrow(message);
  });
});

describe('parseHeaderLines()', () => {
  it('returns headers in the form of curl -H', () => {
    const headers = parseHeaderLines(['Content-Digest: sha-256=:AA==:', 'X:1'], '--request-header');
    expect(Object.fromEntries(headers)).toEqual({ 'content-digest': 'sha-256=:AA==:', x: '1' });
    expect(() => parseHeaderLines(['Content-Digest'], '--request-header')).toThrow(
      '--request-header "Content-Digest" is not a header; expected "Name: value"',
    );
  });
});
