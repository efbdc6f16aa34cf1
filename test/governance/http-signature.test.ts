import { beforeAll, describe, expect, it } from 'vitest';
import { isEdgewiseError } from '../../src/errors.ts';
import {
  answerTag,
  contentDigest,
  type HttpExchange,
  matchesContentDigest,
  parseAcceptSignature,
  signAnswer,
  verifyAnswer,
} from '../../src/governance/http-signature.ts';
import { importSigningKeys, type KeyRing } from '../../src/governance/receipt/keys.ts';
import { testSigningKeys } from '../support/governance-keys.ts';

let ring: KeyRing;
beforeAll(async () => {
  ring = await importSigningKeys(testSigningKeys);
});

const bytes = (text: string) => new Uint8Array(new TextEncoder().encode(text));
const atMs = Date.parse('2026-11-24T10:11:12.345Z');

async function exchange(changes: Partial<HttpExchange> = {}): Promise<HttpExchange> {
  return {
    method: 'POST',
    targetUri: 'https://edge.test/v2/models/mlp/infer?x=1',
    requestHeaders: new Headers({ 'Content-Digest': await contentDigest(bytes('question')) }),
    status: 200,
    headers: new Headers({ 'Content-Type': 'application/json', 'Edgewise-Receipt': 'a.b.c', 'X-Name': 'é' }),
    body: bytes('{"outputs":[]}'),
    ...changes,
  };
}

async function signed(field = 'sig=()', given?: HttpExchange): Promise<HttpExchange> {
  const requested = parseAcceptSignature(field, ring.signing.kid);
  if (requested === undefined) throw new Error('the field asks for no signature');
  const unsigned = given ?? (await exchange());
  const headers = new Headers(unsigned.headers);
  const more = await signAnswer(requested, unsigned, ring.signing, atMs);
  for (const [name, value] of Object.entries(more)) headers.set(name, value);
  return { ...unsigned, headers };
}

async function outcome(given: HttpExchange, nonce?: string): Promise<string> {
  try {
    await verifyAnswer(given, { keys: ring.verifying, ...(nonce !== undefined && { nonce }) });
    return 'good';
  } catch (error) {
    return isEdgewiseError(error) ? error.code : String(error);
  }
}

const refusal = (field: string): string => {
  try {
    parseAcceptSignature(field, ring.signing.kid);
    return 'taken';
  } catch (error) {
    return isEdgewiseError(error) ? `${error.code}: ${error.message}` : String(error);
  }
};

describe('parseAcceptSignature()', () => {
  it('returns undefined if the header is absent or empty', () => {
    expect(parseAcceptSignature(undefined, 'k')).toBeUndefined();
    expect(parseAcceptSignature('', 'k')).toBeUndefined();
  });

  it('reads label, components and nonce', () => {
    const field = 'mine=("@status" "@path";req);created;nonce="n1";alg="ed25519";tag="edgewise-answer"';
    expect(parseAcceptSignature(field, 'k')).toEqual({
      label: 'mine',
      components: [
        { name: '@status', req: false },
        { name: '@path', req: true },
      ],
      nonce: 'n1',
    });
  });

  it.each([
    ['a field that is not a dictionary', '"x"'],
    ['a member that is not a list', 'sig=1'],
    ['two signatures', 'a=(), b=()'],
    ['an unknown component', 'sig=("x-name")'],
    ['a component of the answer with req', 'sig=("@status";req)'],
    ['an unsupported parameter', 'sig=("content-digest";sf)'],
    ['another algorithm', 'sig=();alg="rsa-pss-sha512"'],
    ['another key', 'sig=();keyid="other"'],
    ['another tag', 'sig=();tag="app"'],
    ['an expiry', 'sig=();expires=1'],
    ['a nonce that is not a string', 'sig=();nonce=1'],
    ['a long field', `sig=();nonce="${'n'.repeat(3000)}"`],
  ])('refuses %s', (_, field) => {
    expect(refusal(field)).toMatch(
      /^invalid_request: the answer cannot be signed as Accept-Signature asks: /,
    );
  });
});

describe('signAnswer() and verifyAnswer()', () => {
  it('bind the answer to its request', async () => {
    const given = await signed();
    expect(given.headers.get('signature-input')).toBe(
      `sig=("@status" "content-digest" "edgewise-receipt" "@method";req "@target-uri";req "content-digest";req);created=${Math.floor(atMs / 1000)};keyid="${ring.signing.kid}";alg="ed25519";tag="${answerTag}"`,
    );
    const verified = await verifyAnswer(given, { keys: ring.verifying });
    expect(verified).toEqual({ kid: ring.signing.kid, atMs: Math.floor(atMs / 1000) * 1000 });
  });

  it('sign the signature base of RFC 9421', async () => {
    const given = await signed('sig=("@method";req)');
    const input = given.headers.get('signature-input') ?? '';
    const base = [
      '"@method";req: POST',
      '"@status": 200',
      `"content-digest": ${given.headers.get('content-digest')}`,
      '"edgewise-receipt": a.b.c',
      '"@target-uri";req: https://edge.test/v2/models/mlp/infer?x=1',
      `"content-digest";req: ${given.requestHeaders.get('content-digest')}`,
      `"@signature-params": ${input.slice('sig='.length)}`,
    ].join('\n');
    const [, signature = ''] = /^sig=:(.*):$/.exec(given.headers.get('signature') ?? '') ?? [];
    const key = ring.verifying.get(ring.signing.kid);
    const good = key && crypto.subtle.verify('Ed25519', key, Buffer.from(signature, 'base64'), bytes(base));
    expect(await good).toBe(true);
  });

  it('cover additional components on request', async () => {
    const given = await signed('sig=("content-type" "@path";req);nonce="n1"');
    expect(await outcome(given, 'n1')).toBe('good');
    expect(await outcome(given, 'n2')).toBe('signature_invalid');
    const headers = new Headers(given.headers);
    headers.set('Content-Type', 'text/html');
    expect(await outcome({ ...given, headers })).toBe('signature_invalid');
  });

  it('omit components that the exchange does not have', async () => {
    const bare = await exchange({
      status: 403,
      headers: new Headers(),
      requestHeaders: new Headers(),
      body: bytes(''),
    });
    const given = await signed('sig=("edgewise-receipt" "content-digest";req)', bare);
    expect(given.headers.get('signature-input')).toMatch(
      /^sig=\("@status" "content-digest" "@method";req "@target-uri";req\);/,
    );
    expect(await outcome(given)).toBe('good');
  });

  it('fail if any covered component was changed', async () => {
    const given = await signed();
    const headersWith = (headers: Headers, name: string, value: string | undefined) => {
      const changed = new Headers(headers);
      if (value === undefined) changed.delete(name);
      else changed.set(name, value);
      return changed;
    };
    const answer = (name: string, value?: string) => ({
      ...given,
      headers: headersWith(given.headers, name, value),
    });
    const asked = (name: string, value?: string) => ({
      ...given,
      requestHeaders: headersWith(given.requestHeaders, name, value),
    });
    const cases: Record<string, HttpExchange> = {
      status: { ...given, status: 201 },
      body: { ...given, body: bytes('{"outputs":[1]}') },
      method: { ...given, method: 'PUT' },
      query: { ...given, targetUri: 'https://edge.test/v2/models/mlp/infer?x=2' },
      host: { ...given, targetUri: 'https://other.test/v2/models/mlp/infer?x=1' },
      receipt: answer('Edgewise-Receipt', 'a.b.d'),
      'no receipt': answer('Edgewise-Receipt'),
      digest: answer('Content-Digest', await contentDigest(bytes('x'))),
      'no digest': answer('Content-Digest'),
      'no signature': answer('Signature'),
      'no input': answer('Signature-Input'),
      'question digest': asked('Content-Digest', await contentDigest(bytes('x'))),
      'no question digest': asked('Content-Digest'),
    };
    for (const [what, changed] of Object.entries(cases)) {
      expect(await outcome(changed), what).toBe('signature_invalid');
    }
    expect(await outcome(answer('X-Name', 'other'))).toBe('good');
  });

  it('fail if any one character of the signature or its input was changed', async () => {
    const given = await signed();
    for (const name of ['signature', 'signature-input']) {
      const value = given.headers.get(name) ?? '';
      for (let at = 0; at < value.length; at += 1) {
        const other = value[at] === 'A' ? 'B' : 'A';
        const headers = new Headers(given.headers);
        headers.set(name, value.slice(0, at) + other + value.slice(at + 1));
        expect(await outcome({ ...given, headers }), `${name} ${at}`).toBe('signature_invalid');
      }
    }
  });

  it('fail for a signature that covers too little, or has another tag', async () => {
    const { createSignature, webcrypto } = await import('http-message-sig');
    const given = await signed();
    const sign = async (
      components: (string | { name: string; parameters: { req: true } })[],
      tag: string,
    ) => {
      const { signature, signatureInput } = await createSignature(
        {
          kind: 'response',
          status: given.status,
          fields: ['content-digest', 'edgewise-receipt'].map((name) => ({
            name,
            value: given.headers.get(name) ?? '',
          })),
          request: {
            kind: 'request',
            method: given.method,
            targetUri: given.targetUri,
            fields: [{ name: 'content-digest', value: given.requestHeaders.get('content-digest') ?? '' }],
          },
        },
        {
          components,
          parameters: { created: 1, keyid: ring.signing.kid, tag },
          signer: webcrypto.signer(ring.signing.key),
        },
      );
      const headers = new Headers(given.headers);
      headers.set('Signature', signature);
      headers.set('Signature-Input', signatureInput);
      return outcome({ ...given, headers });
    };
    const req = (name: string) => ({ name, parameters: { req: true as const } });
    const all = [
      '@status',
      'content-digest',
      'edgewise-receipt',
      req('@method'),
      req('@target-uri'),
      req('content-digest'),
    ];
    expect(await sign(all, answerTag)).toBe('good');
    expect(await sign(all, 'else')).toBe('signature_invalid');
    for (const left of all) {
      expect(
        await sign(
          all.filter((component) => component !== left),
          answerTag,
        ),
      ).toBe('signature_invalid');
    }
  });

  it('fail for an unknown key, and name it', async () => {
    const given = await signed();
    await expect(verifyAnswer(given, { keys: new Map() })).rejects.toThrow(
      `the key ${ring.signing.kid} is unknown`,
    );
  });
});

describe('matchesContentDigest()', () => {
  const body = bytes('hello');
  it('accepts SHA-256 and SHA-512, and ignores unknown algorithms', async () => {
    // Digests of "hello"; RFC 9530, appendix D, uses another body.
    const sha256 = 'sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:';
    const sha512 =
      'sha-512=:m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==:';
    expect(await contentDigest(body)).toBe(sha256);
    expect(await matchesContentDigest(sha256, body)).toBe(true);
    expect(await matchesContentDigest(`${sha256}, ${sha512}`, body)).toBe(true);
    expect(await matchesContentDigest(`md5=:AAAA:, ${sha512}`, body)).toBe(true);
    expect(await matchesContentDigest(`${sha256}, ${sha512}`, bytes('hellO'))).toBe(false);
  });

  it.each([null, '', 'md5=:AAAA:', 'sha-256=1', 'sha-256', 'sha-256=:AAAA:', 'x y'])(
    'is false for %j',
    async (field) => {
      expect(await matchesContentDigest(field, body)).toBe(false);
    },
  );
});
