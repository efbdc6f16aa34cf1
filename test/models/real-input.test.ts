/** The sample models on real input, straight on native ONNX Runtime: what they say is held against what the input means. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { frameSamples, readWav, sampleRate, speechProbabilities } from '../support/audio.ts';
import { nameDigit } from '../support/digits.ts';
import { crop, overlap, readPng, turn } from '../support/image.ts';
import { nativeRun } from '../support/native-run.ts';
import { classifyAngle, detectText, readText, recogniserLabels, recogniseText } from '../support/ocr.ts';
import { fp32, type Run } from '../support/run.ts';

const fixtures = join(import.meta.dirname, '..', 'fixtures');
const boxSchema = z.object({ left: z.number(), top: z.number(), right: z.number(), bottom: z.number() });
const printedSchema = z.object({ lines: z.array(z.object({ text: z.string(), box: boxSchema })).min(1) });

const run = await nativeRun();
const picture = await readPng(join(fixtures, 'text.png'));
const printed = printedSchema.parse(JSON.parse(await readFile(join(fixtures, 'text.json'), 'utf8'))).lines;

describe('ocr-detect', () => {
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

describe('ocr-angle', () => {
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

describe('ocr-recognise', async () => {
  const labels = await recogniserLabels();

  it('reads every printed line, cut out with a small margin', async () => {
    for (const { text, box } of printed) {
      const { left, top, right, bottom } = box;
      const line = crop(picture, { left: left - 3, top: top - 3, right: right + 3, bottom: bottom + 3 });
      expect(await recogniseText(run, line, labels)).toBe(text);
    }
  });

  it('reads the whole picture behind detector and angle classifier, upright or upside down', async () => {
    const texts = printed.map(({ text }) => text);
    expect(await readText(run, picture, labels)).toEqual(texts);
    expect(await readText(run, turn(picture), labels)).toEqual(texts.toReversed());
  });
});

describe('speech-detect', async () => {
  const recording = await readWav(join(fixtures, 'speech.wav'));
  const probabilities = await speechProbabilities(run, recording);
  // The phrase stands between half a second of silence on either side.
  const firstVoiced = Math.ceil(sampleRate / 2 / frameSamples);
  const lastVoiced = Math.floor((recording.length - sampleRate / 2) / frameSamples);

  it('rises on the phrase', () => {
    const voiced = probabilities.slice(firstVoiced, lastVoiced);
    expect(Math.max(...voiced)).toBeGreaterThan(0.95);
    expect(mean(voiced)).toBeGreaterThan(0.8);
  });

  it('is low before the phrase and falls after it', () => {
    expect(Math.max(...probabilities.slice(0, firstVoiced - 1))).toBeLessThan(0.1);
    // The state lets go within a few frames.
    expect(Math.max(...probabilities.slice(lastVoiced + 5))).toBeLessThan(0.1);
  });

  it('stays low on silence, faint noise and a tone', async () => {
    const tone = Float32Array.from(
      { length: sampleRate },
      (_, i) => 0.3 * Math.sin((2 * Math.PI * 440 * i) / sampleRate),
    );
    const hiss = Float32Array.from({ length: sampleRate }, (_, i) => 0.01 * Math.sin(i * i * 0.37));
    for (const sound of [new Float32Array(sampleRate), hiss, tone]) {
      expect(Math.max(...(await speechProbabilities(run, sound)))).toBeLessThan(0.1);
    }
  });

  it('hears worse when its state is thrown away after every frame', async () => {
    const state = fp32([2, 1, 128], new Float32Array(256));
    const forgetful: Run = (model, feeds) => run(model, new Map([...feeds, ['state', state]]));
    const heard = await speechProbabilities(forgetful, recording);
    const voiced = heard.slice(firstVoiced, lastVoiced);
    expect(mean(voiced)).toBeLessThan(mean(probabilities.slice(firstVoiced, lastVoiced)) - 0.1);
  });
});

describe('digits', () => {
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
