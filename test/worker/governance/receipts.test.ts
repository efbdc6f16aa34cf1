import canonicalize from 'canonicalize';
import { compactVerify, createLocalJWKSet } from 'jose';
import { describe, expect, it } from 'vitest';
import { parseAcceptSignature, signAnswer, verifyAnswer } from '../../../src/governance/http-signature.ts';
import { generateSigningKey, importSigningKeys } from '../../../src/governance/receipt/keys.ts';
import { verifyReceipt } from '../../../src/governance/verify/verify-receipt.ts';
import { concurrentSuite } from '../../governance/receipt/concurrent-suite.ts';
import { inferenceFacts, testIssuer } from '../../governance/receipt/facts.ts';

describe('receipts in workerd', () => {
  it('are canonical, signed and opened as in Node', async () => {
    const { issuer, ring } = await testIssuer();
    const { compact, salt } = await issuer.inference(inferenceFacts);
    const { payload } = await compactVerify(compact, createLocalJWKSet({ keys: [...ring.publicJwks.keys] }));
    const text = new TextDecoder().decode(payload);
    expect(canonicalize(JSON.parse(text))).toBe(text);
    const { inputs, outputs } = inferenceFacts;
    const verification = await verifyReceipt({
      receipt: compact,
      jwks: ring.publicJwks,
      opening: { salt: salt ?? '', inputs, outputs },
    });
    expect(verification).toMatchObject({
      good: true,
      inputs: { outcome: 'good' },
      outputs: { outcome: 'good' },
    });
  });

  concurrentSuite();

  it('are not signed with halves of two keys', async () => {
    const [key, other] = [await generateSigningKey(), await generateSigningKey()];
    const mixed = JSON.stringify({ keys: [{ ...key, d: other.d }] });
    await expect(importSigningKeys(mixed)).rejects.toThrow('signing key 1 is not usable');
  });

  it('are covered by signatures over whole answers', async () => {
    const { ring } = await testIssuer();
    const requested = parseAcceptSignature('sig=()', ring.signing.kid);
    if (requested === undefined) throw new Error('the field asks for no signature');
    const exchange = {
      method: 'POST',
      targetUri: 'https://edge.test/',
      requestHeaders: new Headers(),
      status: 200,
      headers: new Headers({ 'Edgewise-Receipt': 'a.b.c' }),
      body: new Uint8Array([1, 2, 3]),
    };
    const headers = new Headers(exchange.headers);
    for (const [name, value] of Object.entries(await signAnswer(requested, exchange, ring.signing, 0))) {
      headers.set(name, value);
    }
    expect((await verifyAnswer({ ...exchange, headers }, { keys: ring.verifying })).kid).toBe(
      ring.signing.kid,
    );
  });
});
