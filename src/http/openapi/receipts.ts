/** The operations on receipts. */
import { z } from '@hono/zod-openapi';
import type { Operation } from './operation.ts';

const publicJwk = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string(),
  kid: z.string().openapi({ description: 'RFC 7638 thumbprint.' }),
  alg: z.literal('EdDSA'),
  use: z.literal('sig'),
});

const shownReceipt = z
  .object({
    receipt: z.string().openapi({ description: 'Compact JWS, as in the header Edgewise-Receipt.' }),
    proof: z.string().optional().openapi({
      description: 'C2SP tlog-proof; absent as long as the receipt is in no published checkpoint.',
    }),
  })
  .openapi('LoggedReceipt');

export const receiptOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/.well-known/jwks.json',
    tag: 'Receipts',
    summary: 'Keys that receipts and signed answers are verified with',
    description: 'RFC 7517. May be held for five minutes.',
    answer: z.object({ keys: z.array(publicJwk) }),
  },
  {
    method: 'get',
    path: '/v1/receipts/{id}',
    tag: 'Receipts',
    summary: 'A receipt, and what proves that it is in the log',
    description:
      'For the tenant that it is of; one of a caller without a tenant for whoever has its id. An answer whose receipt is too long for a header names it in Edgewise-Receipt-Id.',
    answer: shownReceipt,
  },
  {
    method: 'post',
    path: '/v1/receipts',
    tag: 'Receipts',
    summary: 'Hand in a receipt that may have missed the log',
    description:
      'The body is the compact JWS. One that is in the log already stays as it is. With Prefer: receipt=logged the answer waits for the proof.',
    body: 'binary',
    answer: shownReceipt,
  },
];
