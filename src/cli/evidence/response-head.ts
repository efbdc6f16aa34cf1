/** The status and headers of a response, from a file that `curl -D` wrote. */
import { EdgewiseError } from '../../errors.ts';

export interface ResponseHead {
  readonly status: number;
  readonly headers: Headers;
}

const statusLine = /^HTTP\/[0-9](?:\.[0-9])? ([1-5][0-9]{2})(?: .*)?$/;
const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)$/;

/**
 * Returns the head of the final response. curl writes one block for each response on the way (`100 Continue`, a proxy's
 * answer to CONNECT, redirects), and trailer fields after the blank line that ends a block.
 *
 * @param file Names the file in messages.
 * @throws EdgewiseError `invalid_request` if the text has no final response, or a line that is not a header.
 */
export function parseResponseHead(text: string, file: string): ResponseHead {
  const blocks: ResponseHead[] = [];
  let open: ResponseHead | undefined;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const [, status] = statusLine.exec(line) ?? [];
    if (status !== undefined) {
      open = { status: Number(status), headers: new Headers() };
      blocks.push(open);
    } else if (line === '') {
      open = undefined;
    } else if (blocks.length === 0) {
      throw unreadable(file, index, line, 'expected a status line such as HTTP/1.1 200 OK');
    } else if (open !== undefined) {
      appendField(open.headers, line, () => unreadable(file, index, line, 'expected a header "Name: value"'));
    }
  }
  const final = blocks.findLast(({ status }) => status >= 200);
  if (final === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      `${file} has no final response; expected response headers as curl -D writes them`,
    );
  }
  return final;
}

/** Returns the headers that lines such as `Name: value` say. @throws EdgewiseError `invalid_request` */
export function parseHeaderLines(lines: readonly string[], option: string): Headers {
  const headers = new Headers();
  for (const line of lines) {
    appendField(
      headers,
      line,
      () =>
        new EdgewiseError(
          'invalid_request',
          `${option} ${JSON.stringify(line)} is not a header; expected "Name: value"`,
        ),
    );
  }
  return headers;
}

function appendField(headers: Headers, line: string, complaint: () => EdgewiseError): void {
  const [, name, value] = field.exec(line) ?? [];
  if (name === undefined || value === undefined) throw complaint();
  try {
    headers.append(name, value.trim());
  } catch {
    throw complaint();
  }
}

function unreadable(file: string, index: number, line: string, expected: string): EdgewiseError {
  return new EdgewiseError(
    'invalid_request',
    `${file}, line ${index + 1}: ${JSON.stringify(line.slice(0, 80))} cannot be read; ${expected}`,
  );
}
