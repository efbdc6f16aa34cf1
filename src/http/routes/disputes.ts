/**
 * Disputed answers, which are run again here for a verdict. Every caller who sends the content that a receipt commits to may
 * ask, since the verdict discloses nothing new to them. Only the verdict is stored, as a receipt of its own.
 */
import { createRoute, z } from '@hono/zod-openapi';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { maxReceiptLength } from '../../governance/receipt/read.ts';
import { verdictReceiptSchema, verdictSchema } from '../../governance/receipt/schema.ts';
import { catchRefusal, replay } from '../../governance/replay/replay.ts';
import { findStoredModel } from '../../governance/replay/stored-model.ts';
import type { DisputedAnswer, ReplayMeans } from '../../governance/replay/types.ts';
import { parseKeptExchange } from '../../protocol/oip/kept-exchange.ts';
import { headerLengthName } from '../../protocol/oip/types.ts';
import { Admission } from '../../scheduler/admission.ts';
import { digestOf } from '../../storage/digest.ts';
import { readBody } from '../body/request-body.ts';
import { limitRefusals } from '../caller/identify.ts';
import { requireHere } from '../caller/residency.ts';
import type { AppContext } from '../context.ts';
import { bodyHeaders, inferBodyLimits } from '../infer/body-limits.ts';
import { elementsOf } from '../infer/elements.ts';
import { poolModel } from '../infer/pool-model.ts';
import { requestHeaders } from '../openapi/headers.ts';
import { binaryBody, jsonResponse, refusals } from '../openapi/responses.ts';
import { type Governance, recordBehindAnswer } from '../record/governance.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { requireReceipts, verifyOwnReceipt } from './receipts.ts';
import { ownOnly } from './requirements.ts';

/** Re-runs at a time in one isolate: each may load a model that no request needs now. */
const maxReplays = 1;
/** Requests have precedence: no answer is run again while more than this share of the permits is taken. */
const maxUtilisation = 0.5;

const encoder = new TextEncoder();

const claimSchema = z.object({
  receipt: z
    .string()
    .min(1)
    .max(maxReceiptLength)
    .openapi({ description: 'Compact JWS, as in the header Edgewise-Receipt.' }),
  salt: z.string().max(100).openapi({ description: 'As in the header Edgewise-Receipt-Salt.' }),
});

const { detail, maxDifference, tolerance } = verdictReceiptSchema.shape.dispute.shape;
const tensors = z.array(z.record(z.string(), z.unknown()));

const disputeAnswer = createRoute({
  method: 'post',
  path: '/v1/disputes',
  operationId: 'disputeAnswer',
  tags: ['Receipts'],
  summary: 'Have an answer computed again, and a verdict on it',
  description:
    'For every caller who has the receipt, its salt and the inputs that were sent; the outputs are needed if the receipt promises an answer within a tolerance. Binary tensors follow the JSON as in a request: those of the inputs, then those of the outputs. The verdict is a receipt of its own and goes into the log; nothing else is stored. One at a time in an isolate. An unauthenticated caller may ask 30 times a minute, refused requests included.',
  request: {
    headers: [requestHeaders.jurisdiction, requestHeaders.headerLength],
    body: {
      required: true,
      content: {
        'application/json': {
          schema: claimSchema
            .extend({
              inputs: tensors.openapi({ description: 'As in the request.' }),
              outputs: tensors.optional().openapi({ description: 'As in the answer.' }),
            })
            .openapi('Dispute'),
        },
        ...binaryBody('application/octet-stream').content,
      },
    },
  },
  responses: {
    200: jsonResponse(
      z
        .object({
          verdict: verdictSchema,
          detail,
          maxDifference,
          tolerance,
          receipt: z.string().openapi({ description: 'The verdict as a receipt: compact JWS.' }),
        })
        .openapi('Verdict'),
      'The verdict',
      'Cache-Control',
      'Edgewise-Receipt',
    ),
    ...refusals(404),
  },
});

export function disputeRoutes(services: Services) {
  const { clock, placement, rates } = services;
  const replays = new Admission({ maxInFlight: maxReplays, clock });
  const means = replayMeans(services, replays);
  const routes = new ApiRoutes(services);

  routes.forCaller(disputeAnswer, async (c, caller) => {
    const governance = requireReceipts(services);
    requireHere(caller, c.req.header('edgewise-jurisdiction'), placement.jurisdiction);
    const atMs = governance.now();
    const { compact, disputed } = await readDispute(c, services, governance);
    // Before the run, and also if no run is needed: every verdict goes into the log.
    limitRefusals(c, caller, rates);
    const finding = await replay(disputed, means);
    const issued = await governance.issuer.verdict({
      atMs,
      caller,
      // A verdict uses no units, so no caller is billed.
      meter: `dispute:${caller.kind === 'anonymous' ? 'anonymous' : caller.id}`,
      dispute: {
        ...finding,
        receipt: disputed.receipt.id,
        hash: await digestOf(new Uint8Array(encoder.encode(compact))),
      },
    });
    recordBehindAnswer(governance, issued);
    return c.json({ ...finding, receipt: issued.compact }, 200, {
      ...ownOnly,
      'Edgewise-Receipt': issued.compact,
    });
  });
  return routes.app;
}

interface Dispute {
  readonly compact: string;
  readonly disputed: DisputedAnswer;
}

async function readDispute(c: AppContext, { settings }: Services, governance: Governance): Promise<Dispute> {
  const headerLength = c.req.header(headerLengthName);
  const body = await readBody(c, inferBodyLimits(bodyHeaders(c.req.raw, headerLength), settings));
  const { document, inputs, outputs } = parseKeptExchange(body, { headerLength, limits: settings.json });
  const claim = checkDocument(claimSchema, document, { quoteText: false, whole: 'it' });
  if (!claim.success)
    throw new EdgewiseError('invalid_request', `the body is not usable: ${claim.complaint}`);
  const { receipt: compact, salt } = claim.data;
  const receipt = await verifyOwnReceipt(governance, compact);
  return { compact, disputed: { receipt, salt, inputs, outputs } };
}

/** Runs stored models on the engine that requests run on. */
function replayMeans(services: Services, replays: Admission): ReplayMeans {
  const { admission, blobs, pool, repository } = services;
  return {
    model: (signed) => findStoredModel(blobs, repository.publishers, signed),
    async run(model, { inputs, outputs }) {
      const { edgeProfile, name, version } = model.manifest;
      if (edgeProfile === undefined) {
        return {
          missing: `${name}@${version} does not fit here: edgewise receipt replay runs it on another machine`,
        };
      }
      if (admission.utilisation > maxUtilisation) throw busy();
      const turn = replays.tryAcquire();
      if (turn === undefined) throw busy();
      try {
        const permit = admission.acquire(services.runCosts.expectedMs(model, elementsOf(inputs)));
        try {
          // A model that the engine refuses has failed with model_not_ready by then; the engine does not say which build refused inputs.
          return await catchRefusal(() => pool.run(poolModel(services, model), inputs, outputs));
        } finally {
          permit.release();
        }
      } finally {
        turn.release();
      }
    },
  };
}

function busy(): EdgewiseError {
  return new EdgewiseError('overloaded', 'there is no room to run an answer again now', {
    retryAfterSeconds: 2,
  });
}
