/**
 * The path of an inference request, from top to bottom. Each stage stands in the file of its name; `request.ts` says what
 * the request carries after each. Nothing of a request is kept once it is answered.
 */
import type { AppContext } from '../context.ts';
import type { Services } from '../services.ts';
import { admitInference } from './admit.ts';
import { withCharge } from './charge.ts';
import { encode } from './encode.ts';
import { finishAnswer } from './finish-answer.ts';
import { forward } from './forward.ts';
import { identify } from './identify.ts';
import { place } from './place.ts';
import { read } from './read.ts';
import type { ResolvedRequest } from './request.ts';
import { resolve } from './resolve.ts';
import { run } from './run.ts';

/** Answers `POST /v2/models/{name}[/versions/{version}]/infer`. */
export async function infer(c: AppContext, services: Services): Promise<Response> {
  const startedMs = services.clock.now();
  services.runCosts.recordArrival(startedMs);
  const { name = '', version: versionOrAlias } = c.req.param();
  const resolved = await resolve(await identify({ c, services, startedMs, name, versionOrAlias }));
  try {
    return await answer(resolved);
  } catch (error) {
    const { manifest } = resolved.model;
    services.statistics.recordFailure(manifest.name, manifest.version, services.clock.now() - startedMs);
    throw error;
  }
}

async function answer(resolved: ResolvedRequest): Promise<Response> {
  const received = await read(await admitInference(resolved));
  if ('unreadBody' in received) return finishAnswer(received, await forward(received));
  return withCharge(place(received), async (charged) => finishAnswer(charged, encode(await run(charged))));
}
