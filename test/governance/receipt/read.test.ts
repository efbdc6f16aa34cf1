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

/** Signed with the right key, whatever it is. */
function signed(payload: string, header: Record<string, unknown> = {}): Promise<string> {
  return new CompactSign(new TextEncoder().encode(payload))
    .setProtectedHeader({ alg: 'EdDSA', kid: ring.signing.kid, typ: 'edgewise-receipt+jws', ...header })
    .sign(ring.signing.key);
}

const payloadOf = (text: string): string => Buffer.from(text.split('.')[1] ?? '', 'base64url').toString();

describe('readReceipt()', () => {
  it('takes what was issued, and what another library signed the same way', async () => {
    expect(await codeOf(compact)).toBe('good');
    expect(await codeOf(refused)).toBe('good');
    expect(await codeOf(await signed(payloadOf(compact)))).toBe('good');
  });

  it('fails when any one character is another', async () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.';
    for (let at = 0; at < compact.length; at += 1) {
      const next = alphabet[(alphabet.indexOf(compact[at] ?? '') + 1) % alphabet.length];
      const changed = compact.slice(0, at) + next + compact.slice(at + 1);
      expect(['signature_invalid', 'invalid_request']).toContain(await codeOf(changed));
    }
  });

  it('fails when a bit of any byte of payload or signature is another', async () => {
    const [header = '', payload = '', signature = ''] = compact.split('.');
    for (const [part, name] of [
      [payload, 'payload'],
      [signature, 'signature'],
    ]) {
      const bytes = Buffer.from(part ?? '', 'base64url');
      // One bit of each byte, another from byte to byte.
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

  it('is signature_invalid where the key is not known', async () => {
    expect(await codeOf(compact, new Map())).toBe('signature_invalid');
    const others = await importVerifyingKeys({ keys: ring.publicJwks.keys.slice(1) });
    expect(await codeOf(compact, others)).toBe('signature_invalid');
  });

  it('is invalid_request for what nobody issues, though it is signed', async () => {
    const receipt: Record<string, unknown> = JSON.parse(payloadOf(compact));
    const canonical = (value: unknown) => canonicalize(value) ?? '';
    const cases: [string, string][] = [
      ['spaces', await signed(JSON.stringify(receipt, null, 1))],
      ['another order', await signed(`{"schema":"x",${canonical(receipt).slice(1)}`)],
      ['a name twice', await signed(canonical(receipt).replace('"id":', '"id":"0","id":'))],
      ['an unknown member', await signed(canonical({ ...receipt, more: 1 }))],
      ['another schema', await signed(canonical({ ...receipt, schema: 'edgewise.receipt.v2' }))],
      ['no time', await signed(canonical({ ...receipt, at: undefined }))],
      ['no JSON', await signed('receipt')],
      ['a byte order mark', await signed(`\uFEFF${canonical(receipt)}`)],
      ['another typ', await signed(canonical(receipt), { typ: 'JWT' })],
      ['more in the header', await signed(canonical(receipt), { cty: 'json' })],
      ['half a pair', await signed(canonical(receipt).replace('acme', '\\ud800'))],
    ];
    for (const [what, text] of cases) expect(await codeOf(text), what).toBe('invalid_request');
  });

  it('is invalid_request for what is no compact JWS', async () => {
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
  it('reads without a key', async () => {
    const { receipt, kid } = peekReceipt(compact);
    expect(receipt).toEqual((await readReceipt(compact, ring.verifying)).receipt);
    expect(kid).toBe(ring.signing.kid);
  });
});
