/** What the signature of an answer covers, and which answers are not held for one. */
import { describe, expect, it } from 'vitest';
import { verifyAnswer } from '../../src/governance/http-signature.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { bearer, callerKey, publishTiny, testService } from '../support/services.ts';
import { termsOf } from '../support/terms.ts';

const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1, 2] });
const signature = { inputs: [spec('x')], outputs: [spec('y')] };
const requestHeaders = { 'Accept-Signature': 'sig=()', 'Edgewise-Purpose': 'marketing' };

describe('the signature of a refusal at the gate', () => {
  it('covers its receipt', async () => {
    const service = await testService({ engine: createFakeEngine() });
    await publishTiny(service, fakeGraph({ op: 'identity', ...signature }), {
      name: 'acme/echo',
      ...signature,
      terms: termsOf({ purposes: { permit: ['research'], deny: [] } }),
    });
    // Also where the name's slash is written as it is.
    for (const name of ['acme%2Fecho', 'acme/echo']) {
      const path = `/v2/models/${name}/infer`;
      const answer = await service.fetch(path, { method: 'POST', headers: requestHeaders, body: '{}' });
      expect(answer.status).toBe(403);
      expect(answer.headers.has('edgewise-receipt')).toBe(true);
      await verifyAnswer(
        {
          method: 'POST',
          targetUri: `http://edge.test${path}`,
          requestHeaders: new Headers(requestHeaders),
          status: answer.status,
          headers: answer.headers,
          body: new Uint8Array(await answer.arrayBuffer()),
        },
        { keys: service.services.governance?.ring.verifying ?? new Map() },
      );
    }
  });
});

describe('weights', () => {
  it('are streamed unsigned, and arrive whole', async () => {
    const service = await testService({
      engine: createFakeEngine(),
      variables: { EDGEWISE_MAX_ANSWER_MIB: '1' },
    });
    const graph = new Uint8Array(3 * 1024 * 1024).map((_, at) => at * 7);
    await publishTiny(service, graph, {
      name: 'free',
      ...signature,
      terms: termsOf({ weightsMayLeave: true }),
    });
    const answer = await service.fetch('/v1/models/free/versions/1/files/model.onnx', {
      headers: { ...bearer(callerKey), 'Accept-Signature': 'sig=()' },
    });
    expect(answer.headers.has('edgewise-receipt')).toBe(true);
    expect(answer.headers.has('signature')).toBe(false);
    expect(answer.headers.get('content-type')).toBe('application/octet-stream');
    expect(Buffer.from(graph).equals(Buffer.from(await answer.arrayBuffer()))).toBe(true);
  });
});
