/**
 * Real input over HTTP to the worker: pictures with text, a recording, drawn digits. Every request goes out twice, in
 * binary and in JSON, and every answer is held against native ONNX Runtime on the same feeds; what the answers say is
 * held against what the input means.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { DevServer } from '../../scripts/dev-server.ts';
import { publishSamples } from '../../scripts/publish-samples.ts';
import { createInferenceClient } from '../../src/client/inference-client.ts';
import type { Feeds, Fetches } from '../../src/engine/types.ts';
import { frameSamples, readWav, sampleRate, speechProbabilities } from '../support/audio.ts';
import { startService } from '../support/dev-service.ts';
import { nameDigit } from '../support/digits.ts';
import { crop, overlap, readPng, turn } from '../support/image.ts';
import { nativeRun } from '../support/native-run.ts';
import { classifyAngle, detectText, readText, recogniserLabels, recogniseText } from '../support/ocr.ts';
import { fp32Output, type Run } from '../support/run.ts';

/**
 * Of one element, absolute: WebAssembly and native kernels sum in different orders. The outputs compared here are
 * probabilities, and the speech model's state.
 */
const tolerance = 1e-3;

const fixtures = join(import.meta.dirname, '..', 'fixtures');
const boxSchema = z.object({ left: z.number(), top: z.number(), right: z.number(), bottom: z.number() });
const printedSchema = z.object({ lines: z.array(z.object({ text: z.string(), box: boxSchema })).min(1) });

const native = await nativeRun();
const picture = await readPng(join(fixtures, 'text.png'));
const printed = printedSchema.parse(JSON.parse(await readFile(join(fixtures, 'text.json'), 'utf8'))).lines;

let server: DevServer;
/** By model. */
const requests = new Map<string, number>();
const largestDifferences = new Map<string, number>();

/** Over HTTP, and checked: both encodings, the tier, and native ONNX Runtime's answer. */
const run: Run = async (model, feeds) => {
  const binary = await overHttp(model, feeds, true);
  expect(await overHttp(model, feeds, false)).toEqual(binary);
  const wanted = await native(model, feeds);
  expect([...binary.keys()]).toEqual([...wanted.keys()]);
  for (const name of wanted.keys()) {
    compare(model, fp32Output(binary, name), fp32Output(wanted, name));
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

function compare(model: string, answer: ReturnType<typeof fp32Output>, wanted: typeof answer): void {
  expect(answer.shape).toEqual(wanted.shape);
  let largest = 0;
  for (const [index, value] of wanted.data.entries()) {
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

describe('ocr-detect over HTTP', () => {
  it('finds every printed line and nothing else', async () => {
    const found = await detectText(run, picture);
    expect(found).toHaveLength(printed.length);
    for (const [index, { box }] of printed.entries()) {
      const match = found[index];
      expect(match && overlap(match.box, box)).toBeGreaterThan(0.7);
      expect(match?.score).toBeGreaterThan(0.9);
    }
  });

  it('finds nothing on an empty page', async () => {
    const page = { width: 320, height: 320, data: new Uint8Array(320 * 320 * 3).fill(255) };
    expect(await detectText(run, page)).toEqual([]);
  });
});

describe('ocr-angle over HTTP', () => {
  it('tells a line that stands upright from the same line upside down', async () => {
    for (const { box } of printed) {
      const line = crop(picture, box);
      const upright = await classifyAngle(run, line);
      const turned = await classifyAngle(run, turn(line));
      expect([upright.label, turned.label]).toEqual(['0', '180']);
      expect(Math.min(upright.probability, turned.probability)).toBeGreaterThan(0.9);
    }
  });
});

describe('ocr-recognise over HTTP', () => {
  it('reads every printed line, cut out with a small margin', async () => {
    const labels = await recogniserLabels();
    for (const { text, box } of printed) {
      const { left, top, right, bottom } = box;
      const line = crop(picture, { left: left - 3, top: top - 3, right: right + 3, bottom: bottom + 3 });
      expect(await recogniseText(run, line, labels)).toBe(text);
    }
  });

  it('reads the picture, upside down, behind detector and angle classifier', async () => {
    const texts = await readText(run, turn(picture), await recogniserLabels());
    expect(texts).toEqual(printed.map(({ text }) => text).toReversed());
  });
});

describe('speech-detect over HTTP', () => {
  it('rises on the phrase, is low before it and falls after it, its state passed from request to request', async () => {
    const recording = await readWav(join(fixtures, 'speech.wav'));
    const heard = await speechProbabilities(run, recording);
    // The phrase stands between half a second of silence on either side.
    const first = Math.ceil(sampleRate / 2 / frameSamples);
    const last = Math.floor((recording.length - sampleRate / 2) / frameSamples);
    expect(Math.max(...heard.slice(first, last))).toBeGreaterThan(0.95);
    expect(mean(heard.slice(first, last))).toBeGreaterThan(0.8);
    expect(Math.max(...heard.slice(0, first - 1))).toBeLessThan(0.1);
    // The state lets go within a few frames.
    expect(Math.max(...heard.slice(last + 5))).toBeLessThan(0.1);

    // Native ONNX Runtime with the state of its own: what differs does not grow from frame to frame.
    const wanted = await speechProbabilities(native, recording);
    const differences = heard.map((value, index) => Math.abs(value - (wanted[index] ?? Number.NaN)));
    expect(Math.max(...differences)).toBeLessThan(tolerance);
  });

  it('stays low on silence', async () => {
    expect(Math.max(...(await speechProbabilities(run, new Float32Array(sampleRate))))).toBeLessThan(0.1);
  });
});

describe('digits over HTTP', () => {
  it('names ten digits drawn with a round pen', async () => {
    const strip = await readPng(join(fixtures, 'digits.png'));
    for (let digit = 0; digit < 10; digit++) {
      const tile = crop(strip, { left: 28 * digit, top: 0, right: 28 * (digit + 1), bottom: 28 });
      const named = await nameDigit(run, tile);
      expect(named.digit).toBe(digit);
      expect(named.probability).toBeGreaterThan(0.9);
    }
  });
});

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
