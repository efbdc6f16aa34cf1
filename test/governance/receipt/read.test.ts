import canonicalize from 'canonicalize';
import { CompactSign } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { isEdgewiseError } from '../../../src/errors.ts';
import { importVerifyingKeys, type KeyRing } from '../../../src/governance/receipt/keys.ts';
import { peekReceipt, readReceipt } from '../../../src/governance/receipt/read.ts';
import { inferenceFacts, refusalFacts, testIssuer } from './facts.ts';

let compact: string;
let refused: string;
let ring: KeyRing;
beforeAll(async () => {
  const made = await testIssuer();
  ring = made.ring;
  ({ compact } = await made.issuer.inference(inferenceFacts));
  ({ compact: refused } = await made.issuer.refusal(refusalFacts));
});

async function codeOf(text: string, keys = ring.verifying): Promise<string> {
  try {
    await readReceipt(text, keys);
  } catch (error) {
    return isEdgewiseError(error) ? error.code : String(error);
  }
  return 'good';
}

/** Signs any payload with the server's key. */
function sign(payload: string, header: Record<string, unknown> = {}): Promise<string> {
  return new CompactSign(new TextEncoder().encode(payload))
    .setProtectedHeader({ alg: 'EdDSA', kid: ring.signing.kid, typ: 'edgewise-receipt+jws', ...header })
    .sign(ring.signing.key);
}

const payloadOf = (text: string): string => Buffer.from(text.split('.')[1] ?? '', 'base64url').toString();

describe('readReceipt()', () => {
  it('accepts issued receipts, and the same payload signed by another library', async () => {
    expect(await codeOf(compact)).toBe('good');
    expect(await codeOf(refused)).toBe('good');
    expect(await codeOf(await sign(payloadOf(compact)))).toBe('good');
  });

  it('fails if any single character changes', async () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.';
    for (let at = 0; at < compact.length; at += 1) {
      const next = alphabet[(alphabet.indexOf(compact[at] ?? '') + 1) % alphabet.length];
      const changed = compact.slice(0, at) + next + compact.slice(at + 1);
      expect(['signature_invalid', 'invalid_request']).toContain(await codeOf(changed));
    }
  });

  it('fails if one bit of any byte of payload or signature changes', async () => {
    const [header = '', payload = '', signature = ''] = compact.split('.');
    for (const [part, name] of [
      [payload, 'payload'],
      [signature, 'signature'],
    ]) {
      const bytes = Buffer.from(part ?? '', 'base64url');
      // One bit of each byte, at a different position from byte to byte.
      for (let bit = 0; bit < bytes.length * 8; bit += 9) {
        const flipped = Buffer.from(bytes);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const text = flipped.toString('base64url');
        const changed =
          name === 'payload' ? `${header}.${text}.${signature}` : `${header}.${payload}.${text}`;
        expect(await codeOf(changed), `${name} ${bit}`).toBe('signature_invalid');
      }
    }
  });

  it('throws signature_invalid for an unknown key', async () => {
    expect(await codeOf(compact, new Map())).toBe('signature_invalid');
    const others = await importVerifyingKeys({ keys: ring.publicJwks.keys.slice(1) });
    expect(await codeOf(compact, others)).toBe('signature_invalid');
  });

  it('throws invalid_request for a signed payload or header that the server never issues', async () => {
    const receipt: Record<string, unknown> = JSON.parse(payloadOf(compact));
    const canonical = (value: unknown) => canonicalize(value) ?? '';
    const cases: [string, string][] = [
      ['spaces', await sign(JSON.stringify(receipt, null, 1))],
      ['another order', await sign(`{"schema":"x",${canonical(receipt).slice(1)}`)],
      ['a name twice', await sign(canonical(receipt).replace('"id":', '"id":"0","id":'))],
      ['an unknown member', await sign(canonical({ ...receipt, more: 1 }))],
      ['another schema', await sign(canonical({ ...receipt, schema: 'edgewise.receipt.v2' }))],
      ['no time', await sign(canonical({ ...receipt, at: undefined }))],
      ['no JSON', await sign('receipt')],
      ['a byte order mark', await sign(`\uFEFF${canonical(receipt)}`)],
      ['another typ', await sign(canonical(receipt), { typ: 'JWT' })],
      ['more in the header', await sign(canonical(receipt), { cty: 'json' })],
      ['half a pair', await sign(canonical(receipt).replace('acme', '\\ud800'))],
    ];
    for (const [what, text] of cases) expect(await codeOf(text), what).toBe('invalid_request');
  });

  it('throws for text that is not a compact JWS with EdDSA', async () => {
    const [header = '', payload = '', signature = ''] = compact.split('.');
    const none = Buffer.from('{"alg":"none","kid":"x","typ":"edgewise-receipt+jws"}').toString('base64url');
    const cases = [
      '',
      '..',
      payload,
      `${header}.${payload}`,
      `${compact}.x`,
      `${compact}=`,
      ` ${compact}`,
      `${none}.${payload}.${signature}`,
      `${header}.${payload}.${signature.slice(0, 40)}`,
      `${header}.${Buffer.from([0xff]).toString('base64url')}.${signature}`,
      'a'.repeat(300_000),
    ];
    for (const text of cases) {
      expect(['invalid_request', 'signature_invalid'], text.slice(0, 40)).toContain(await codeOf(text));
    }
    expect(await codeOf(`${none}.${payload}.${signature}`)).toBe('invalid_request');
  });
});

describe('peekReceipt()', () => {
  it('reads a receipt without a key', async () => {
    const { receipt, kid } = peekReceipt(compact);
    expect(receipt).toEqual((await readReceipt(compact, ring.verifying)).receipt);
    expect(kid).toBe(ring.signing.kid);
  });
});
