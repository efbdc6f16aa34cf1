/** What the sample models say about real input: one suite for every way to run them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { frameSamples, readWav, sampleRate } from './audio.ts';
import { nameDigit } from './digits.ts';
import { crop, overlap, readPng, turn } from './image.ts';
import { classifyAngle, detectText, readText, recogniserLabels, recogniseText } from './ocr.ts';
import type { Run } from './run.ts';

const fixtures = join(import.meta.dirname, '..', 'fixtures');
const boxSchema = z.object({ left: z.number(), top: z.number(), right: z.number(), bottom: z.number() });
const printedSchema = z.object({ lines: z.array(z.object({ text: z.string(), box: boxSchema })).min(1) });

/** A spoken phrase between half a second of silence on either side. */
export const recording = await readWav(join(fixtures, 'speech.wav'));
const firstVoiced = Math.ceil(sampleRate / 2 / frameSamples);
const lastVoiced = Math.floor((recording.length - sampleRate / 2) / frameSamples);

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Returns the probabilities of the frames within the phrase. */
export function voicedPart(probabilities: readonly number[]): readonly number[] {
  return probabilities.slice(firstVoiced, lastVoiced);
}

/** Expects speech probabilities of `recording` that are high during the phrase, and low before and after it. */
export function expectPhrase(probabilities: readonly number[]): void {
  const voiced = voicedPart(probabilities);
  expect(Math.max(...voiced)).toBeGreaterThan(0.95);
  expect(mean(voiced)).toBeGreaterThan(0.8);
  expect(Math.max(...probabilities.slice(0, firstVoiced - 1))).toBeLessThan(0.1);
  // The model's state falls within a few frames.
  expect(Math.max(...probabilities.slice(lastVoiced + 5))).toBeLessThan(0.1);
}

/** @param how For the names of the tests: `over HTTP`. */
export async function describePictures(how: string, run: Run): Promise<void> {
  const picture = await readPng(join(fixtures, 'text.png'));
  const printed = printedSchema.parse(JSON.parse(await readFile(join(fixtures, 'text.json'), 'utf8'))).lines;
  const labels = await recogniserLabels();

  describe(`ocr-detect ${how}`, () => {
    it('finds every printed line and nothing else in the picture', async () => {
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

  describe(`ocr-angle ${how}`, () => {
    it('distinguishes an upright line from the same line upside down', async () => {
      for (const { box } of printed) {
        const line = crop(picture, box);
        const upright = await classifyAngle(run, line);
        const turned = await classifyAngle(run, turn(line));
        expect([upright.label, turned.label]).toEqual(['0', '180']);
        expect(Math.min(upright.probability, turned.probability)).toBeGreaterThan(0.9);
      }
    });
  });

  describe(`ocr-recognise ${how}`, () => {
    it('reads every printed line, cropped with a small margin', async () => {
      for (const { text, box } of printed) {
        const { left, top, right, bottom } = box;
        const line = crop(picture, { left: left - 3, top: top - 3, right: right + 3, bottom: bottom + 3 });
        expect(await recogniseText(run, line, labels)).toBe(text);
      }
    });

    it('reads the whole picture after detector and angle classifier, upright or upside down', async () => {
      const texts = printed.map(({ text }) => text);
      expect(await readText(run, picture, labels)).toEqual(texts);
      expect(await readText(run, turn(picture), labels)).toEqual(texts.toReversed());
    });
  });

  describe(`digits ${how}`, () => {
    it('recognises ten digits drawn with a round pen', async () => {
      const strip = await readPng(join(fixtures, 'digits.png'));
      for (let digit = 0; digit < 10; digit++) {
        const tile = crop(strip, { left: 28 * digit, top: 0, right: 28 * (digit + 1), bottom: 28 });
        const named = await nameDigit(run, tile);
        expect(named.digit).toBe(digit);
        expect(named.probability).toBeGreaterThan(0.9);
      }
    });
  });
}
