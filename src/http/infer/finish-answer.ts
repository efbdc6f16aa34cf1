/** The last stage: the answer is counted, copied to shadows, put on record, and given the headers that every answer has. */
import type { ResolvedModel } from '../../repository/model-repository.ts';
import { takeAnswerHeaders } from '../context.ts';
import { record } from './record.ts';
import type { AdmittedRequest, InferenceAnswer } from './request.ts';

/** @throws EdgewiseError as `record` */
export async function finishAnswer(request: AdmittedRequest, answer: InferenceAnswer): Promise<Response> {
  const { c, model, services, use, versionOrAlias } = request;
  const { inputs, jurisdiction, outputs, reason, tier } = answer;
  services.statistics.recordSuccess(model.manifest.name, model.manifest.version, answer.times);
  if (inputs !== undefined && outputs !== undefined) {
    const requestId = c.get('requestId');
    services.shadows?.after({
      model,
      alias: versionOrAlias,
      tier,
      feeds: inputs,
      outputs,
      requestId,
      jurisdiction,
    });
  }
  const recordHeaders = use && (await record(use, answer));
  return answer.toResponse({
    'Edgewise-Tier': tier,
    'Edgewise-Reason': reason,
    'Edgewise-Model': modelHeader(model),
    ...recordHeaders,
    ...takeAnswerHeaders(c),
    'Server-Timing': answer.serverTiming,
  });
}

/** Returns the `Edgewise-Model` header: the version that answered, and the digest of its manifest. */
export function modelHeader({ manifest, manifestDigest }: ResolvedModel): string {
  return `${manifest.name}@${manifest.version}; digest=${manifestDigest}`;
}
