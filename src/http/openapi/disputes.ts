/** The operation on answers that are doubted. */
import { z } from '@hono/zod-openapi';
import { verdictReceiptSchema, verdictSchema } from '../../governance/receipt/schema.ts';
import type { Operation } from './operation.ts';

const { detail, maxDifference, tolerance } = verdictReceiptSchema.shape.dispute.shape;
const tensors = z.array(z.record(z.string(), z.unknown()));

export const disputeOperations: readonly Operation[] = [
  {
    method: 'post',
    path: '/v1/disputes',
    tag: 'Receipts',
    summary: 'Have an answer computed again, and a verdict on it',
    description:
      'For whoever has the receipt, its salt and the inputs that were sent; the outputs are needed where the receipt promises an answer within a tolerance. Binary tensors follow the JSON as in a request: those of the inputs, then those of the outputs. The verdict is a receipt of its own and goes into the log; nothing else is kept. One at a time in an isolate, and from callers without a key 30 in a minute, refusals counted with them: 429 with Retry-After beyond.',
    body: z
      .object({
        receipt: z.string().openapi({ description: 'Compact JWS, as in the header Edgewise-Receipt.' }),
        salt: z.string().openapi({ description: 'As in the header Edgewise-Receipt-Salt.' }),
        inputs: tensors.openapi({ description: 'As in the request.' }),
        outputs: tensors.optional().openapi({ description: 'As in the answer.' }),
      })
      .openapi('Dispute'),
    answer: z
      .object({
        verdict: verdictSchema,
        detail,
        maxDifference,
        tolerance,
        receipt: z.string().openapi({ description: 'The verdict as a receipt: compact JWS.' }),
      })
      .openapi('Verdict'),
  },
];
