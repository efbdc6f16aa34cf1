/** A fixed set of varied requests to every sample model. */
import { join } from 'node:path';
import { loadDigits } from '../../scripts/evaluate-digits.ts';
import type { Feeds } from '../../src/engine/types.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { readWav, sampleRate } from './audio.ts';
import { fp32 } from './run.ts';

export interface Question {
  readonly model: string;
  readonly feeds: Feeds;
}

/** Number of questions for each model, over a thousand together; fewer for slow models. */
export const questionCounts = {
  mlp: 320,
  digits: 150,
  'digits-int8': 200,
  'ocr-angle': 90,
  'ocr-detect': 40,
  'ocr-recognise': 40,
  'speech-detect': 200,
} as const;

type Random = () => number;

/** Returns a generator of numbers from 0 to 1, determined by the seed (mulberry32, T. Ettinger, public domain). */
function randomFrom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Returns all questions, with the models in random order. */
export async function replayCorpus(): Promise<readonly Question[]> {
  const random = randomFrom(20_261_124);
  const { heldOut } = await loadDigits();
  const speech = await readWav(join(import.meta.dirname, '..', 'fixtures', 'speech.wav'));
  const makers: { readonly [M in keyof typeof questionCounts]: (index: number) => Feeds } = {
    mlp: (index) => rows(random, index),
    digits: () => digits(random, heldOut),
    'digits-int8': () => digits(random, heldOut),
    'ocr-angle': (index) => picture(random, 1 + (index % 3), 48, 192),
    'ocr-detect': (index) => page(random, index),
    'ocr-recognise': (index) => picture(random, 1, 48, 32 + 16 * (index % 10)),
    'speech-detect': (index) => speechFrame(random, speech, index),
  };
  const questions = Object.entries(makers).flatMap(([model, make]) =>
    Array.from({ length: Reflect.get(questionCounts, model) }, (_, index) => ({ model, feeds: make(index) })),
  );
  return questions
    .map((question) => ({ question, at: random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ question }) => question);
}

function fill(length: number, value: (index: number) => number): Float32Array {
  return Float32Array.from({ length }, (_, index) => value(index));
}

/** Special floats: zeros of both signs, subnormal, very large, infinite and NaN. */
const specials = [0, -0, 1e-45, -1e-39, 3.4e38, -3.4e38, Infinity, -Infinity, NaN];

function rows(random: Random, index: number): Feeds {
  const batch = 1 + Math.floor(random() * 64);
  const scale = 10 ** (random() * 12 - 6);
  const special = index % 8 === 0;
  const data = fill(batch * 10, (at) =>
    special && random() < 0.1
      ? (specials[(index / 8 + at) % specials.length] ?? 0)
      : (random() - 0.5) * scale,
  );
  return new Map([['input', fp32([batch, 10], data)]]);
}

function digits(random: Random, set: readonly { readonly image: Float32Array }[]): Feeds {
  const batch = 1 + Math.floor(random() ** 3 * 32);
  const data = new Float32Array(batch * 784);
  for (let row = 0; row < batch; row += 1) {
    const { image } = set[Math.floor(random() * set.length)] ?? { image: new Float32Array(784) };
    data.set(image, row * 784);
  }
  return new Map([['image', fp32([batch, 1, 28, 28], data)]]);
}

const detectSizes = [
  [32, 32],
  [64, 96],
  [96, 64],
  [128, 128],
  [160, 224],
] as const;

function page(random: Random, index: number): Feeds {
  const [height, width] = detectSizes[index % detectSizes.length] ?? [32, 32];
  return picture(random, 1, height, width);
}

/** Returns waves and noise in the range of normalized pixels. */
function picture(random: Random, batch: number, height: number, width: number): Feeds {
  const [across, down, noise] = [random() / 3, random() / 3, random()];
  const data = fill(batch * 3 * height * width, (at) => {
    const [x, y] = [at % width, Math.floor(at / width) % height];
    return Math.sin(x * across) * Math.cos(y * down) + (random() - 0.5) * noise;
  });
  return new Map([['x', fp32([batch, 3, height, width], data)]]);
}

function speechFrame(random: Random, speech: Float32Array, index: number): Feeds {
  const begin = (index * 512) % (speech.length - 576);
  return new Map<string, Tensor>([
    ['input', fp32([1, 576], speech.slice(begin, begin + 576))],
    [
      'state',
      fp32(
        [2, 1, 128],
        fill(256, () => (index % 10 === 0 ? 0 : random() * 2 - 1)),
      ),
    ],
    ['sr', { datatype: 'INT64', shape: [], data: BigInt64Array.of(BigInt(sampleRate)) }],
  ]);
}

/** Reports whether sums may overflow, which can depend on the order of summation. */
export function isExtreme({ feeds }: Question): boolean {
  return [...feeds.values()].some(
    ({ datatype, data }) => datatype === 'FP32' && data.some((one) => !(Math.abs(one) < 1e30)),
  );
}
