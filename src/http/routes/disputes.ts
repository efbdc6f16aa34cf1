/**
 * Answers that are doubted: run again here, and judged. Whoever shows what a receipt commits to may ask, since the verdict
 * says nothing that they do not know. Nothing of it is kept but the verdict, which is a receipt of its own.
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { maxReceiptLength } from '../../governance/receipt/read.ts';
import { replay, unlessRefused } from '../../governance/replay/replay.ts';
import { storedModel } from '../../governance/replay/stored-model.ts';
import type { DisputedAnswer, ReplayMeans } from '../../governance/replay/types.ts';
import { parseKeptExchange } from '../../protocol/oip/kept-exchange.ts';
import { headerLengthName } from '../../protocol/oip/types.ts';
import { Admission } from '../../scheduler/admission.ts';
import { digestOf } from '../../storage/digest.ts';
import { readBody } from '../body/request-body.ts';
import { identifyCaller, limitRefusals } from '../caller/identify.ts';
import { requireHere } from '../caller/residency.ts';
import type { AppContext, AppEnv } from '../context.ts';
import { bodyHeaders, inferBodyLimits } from '../infer/body-limits.ts';
import { elementsOf } from '../infer/elements.ts';
import { poolModel } from '../infer/pool-model.ts';
import { type Governance, recordBehindAnswer } from '../record/governance.ts';
import type { Services } from '../services.ts';
import { governanceOf, ownReceipt } from './receipts.ts';

/** Of an isolate at a time: a re-run may load a model that nobody else wants now. */
const maxReplays = 1;
/** Requests come first: no answer is run again where more than this share of what may be in flight is. */
const maxUtilisation = 0.5;

const encoder = new TextEncoder();

const claimSchema = z.object({ receipt: z.string().min(1).max(maxReceiptLength), salt: z.string().max(100) });

/** To be mounted at `/v1`. */
export function disputeRoutes(services: Services): Hono<AppEnv> {
  const { clock, placement, rates } = services;
  const replays = new Admission({ maxInFlight: maxReplays, clock });
  const means = replayMeans(services, replays);
  const app = new Hono<AppEnv>();

  app.post('/disputes', async (c) => {
    const caller = await identifyCaller(c, services);
    const governance = governanceOf(services);
    requireHere(caller, c.req.header('edgewise-jurisdiction'), placement.jurisdiction);
    const atMs = governance.now();
    const { compact, disputed } = await disputedAnswer(c, services, governance);
    // Before the run, and whether or not one is needed: every verdict goes into the log.
    limitRefusals(c, caller, rates);
    const finding = await replay(disputed, means);
    const issued = await governance.issuer.verdict({
      atMs,
      caller,
      // Of no unit: it counts on nobody's.
      meter: `dispute:${caller.kind === 'anonymous' ? 'anonymous' : caller.id}`,
      dispute: {
        ...finding,
        receipt: disputed.receipt.id,
        hash: await digestOf(new Uint8Array(encoder.encode(compact))),
      },
    });
    recordBehindAnswer(governance, issued);
    return c.json({ ...finding, receipt: issued.compact }, 200, {
      'Cache-Control': 'private, no-store',
      'Edgewise-Receipt': issued.compact,
    });
  });
  return app;
}

interface Shown {
  readonly compact: string;
  readonly disputed: DisputedAnswer;
}

async function disputedAnswer(c: AppContext, { settings }: Services, governance: Governance): Promise<Shown> {
  const headerLength = c.req.header(headerLengthName);
  const body = await readBody(c, inferBodyLimits(bodyHeaders(c.req.raw, headerLength), settings));
  const { document, inputs, outputs } = parseKeptExchange(body, { headerLength, limits: settings.json });
  const claim = checkDocument(claimSchema, document, { quoteText: false, whole: 'it' });
  if (!claim.success)
    throw new EdgewiseError('invalid_request', `the body is not usable: ${claim.complaint}`);
  const { receipt: compact, salt } = claim.data;
  const receipt = await ownReceipt(governance, compact);
  return { compact, disputed: { receipt, salt, inputs, outputs } };
}

/** Models as they are stored, on the engine that requests run on. */
function replayMeans(services: Services, replays: Admission): ReplayMeans {
  const { admission, blobs, pool, repository } = services;
  return {
    model: (wanted) => storedModel(blobs, repository.publishers, wanted),
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
          // A model that the engine refuses is model_not_ready by then. Which of its builds refused inputs it does not say.
          return await unlessRefused(() => pool.run(poolModel(services, model), inputs, outputs));
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
