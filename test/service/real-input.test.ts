/**
 * Real input over HTTP to the worker: pictures with text, a recording, drawn digits. Every request is sent twice, in
 * binary and in JSON, and every answer is compared to native ONNX Runtime on the same feeds; the meaning of the answers is
 * compared to the content of the input.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DevServer } from '../../scripts/dev-server.ts';
import { publishSamples } from '../../scripts/publish-samples.ts';
import { createInferenceClient } from '../../src/client/inference-client.ts';
import type { Feeds, Fetches } from '../../src/engine/types.ts';
import { sampleRate, speechProbabilities } from '../support/audio.ts';
import { startService } from '../support/dev-service.ts';
import { nativeRun } from '../support/native-run.ts';
import { describePictures, expectPhrase, recording } from '../support/real-input-suite.ts';
import { fp32Output, type Run } from '../support/run.ts';

/**
 * Absolute tolerance per element: WebAssembly and native kernels sum in different orders. The compared outputs are
 * probabilities, and the speech model's state.
 */
const tolerance = 1e-3;

const native = await nativeRun();

let server: DevServer;
/** Requests and largest differences, by model. */
const requests = new Map<string, number>();
const largestDifferences = new Map<string, number>();

/** Runs a model over HTTP and checks both encodings, the tier, and native ONNX Runtime's answer. */
const run: Run = async (model, feeds) => {
  const binary = await overHttp(model, feeds, true);
  expect(await overHttp(model, feeds, false)).toEqual(binary);
  const expected = await native(model, feeds);
  expect([...binary.keys()]).toEqual([...expected.keys()]);
  for (const name of expected.keys()) {
    compare(model, fp32Output(binary, name), fp32Output(expected, name));
  }
  return binary;
};

async function overHttp(model: string, feeds: Feeds, binary: boolean): Promise<Fetches> {
  const client = createInferenceClient({ url: server.url });
  const { outputs, served } = await client.infer({ name: model, version: 'stable' }, feeds, { binary });
  expect(served).toMatchObject({
    tier: 'edge',
    reason: 'fits-edge',
    model: expect.stringMatching(new RegExp(`^${model}@1; digest=sha256:[0-9a-f]{64}$`)),
  });
  requests.set(model, (requests.get(model) ?? 0) + 1);
  return outputs;
}

function compare(model: string, answer: ReturnType<typeof fp32Output>, expected: typeof answer): void {
  expect(answer.shape).toEqual(expected.shape);
  let largest = 0;
  for (const [index, value] of expected.data.entries()) {
    const difference = Math.abs((answer.data[index] ?? Number.NaN) - value);
    largest = Math.max(difference, largest);
  }
  expect(largest).toBeLessThan(tolerance);
  largestDifferences.set(model, Math.max(largest, largestDifferences.get(model) ?? 0));
}

beforeAll(async () => {
  server = await startService();
  await publishSamples(server);
}, 400_000);

afterAll(async () => {
  await server?.stop();
  for (const [model, difference] of largestDifferences) {
    console.log(
      `${model}: ${requests.get(model)} requests, largest difference from native ONNX Runtime ${difference.toExponential(1)}`,
    );
  }
});

await describePictures('over HTTP', run);

describe('speech-detect over HTTP', () => {
  it('hears the phrase, with the state passed from request to request', async () => {
    const heard = await speechProbabilities(run, recording);
    expectPhrase(heard);
    // Native ONNX Runtime with its own state: the difference does not grow from frame to frame.
    const expected = await speechProbabilities(native, recording);
    const differences = heard.map((value, index) => Math.abs(value - (expected[index] ?? Number.NaN)));
    expect(Math.max(...differences)).toBeLessThan(tolerance);
  });

  it('stays low on silence', async () => {
    expect(Math.max(...(await speechProbabilities(run, new Float32Array(sampleRate))))).toBeLessThan(0.1);
  });
});
