/**
 * Reads text with the PP-OCR models: preprocessing and postprocessing. Parameters as in PaddleOCR's
 * configs/det/ch_PP-OCRv4/ch_PP-OCRv4_det_student.yml and its tools/infer; boxes here are upright, so lines of text at an
 * angle are not handled.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  area,
  type Box,
  crop,
  type Normalisation,
  type RgbImage,
  resize,
  toBgrTensor,
  turn,
} from './image.ts';
import { type Fp32Tensor, fp32Output, highest, type Run } from './run.ts';

const imageNet: Normalisation = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };
const centred: Normalisation = { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] };

const pixelThreshold = 0.3;
const boxThreshold = 0.6;
const unclipRatio = 1.5;
const smallestSidePixels = 3;

export interface FoundBox {
  readonly box: Box;
  /** Mean probability inside the shrunken region. */
  readonly score: number;
}

/** Finds the boxes of text in the picture, top to bottom. The picture is scaled to the next multiples of 32. */
export async function detectText(run: Run, image: RgbImage): Promise<readonly FoundBox[]> {
  const width = Math.ceil(image.width / 32) * 32;
  const height = Math.ceil(image.height / 32) * 32;
  const x = toBgrTensor(resize(image, width, height), imageNet);
  const map = fp32Output(await run('ocr-detect', new Map([['x', x]])), 'sigmoid_0.tmp_0');
  return textBoxes(map).map(({ box, score }) => ({
    score,
    box: {
      left: Math.floor((box.left * image.width) / width),
      top: Math.floor((box.top * image.height) / height),
      right: Math.ceil((box.right * image.width) / width),
      bottom: Math.ceil((box.bottom * image.height) / height),
    },
  }));
}

/**
 * Returns the regions of a probability map [1, 1, height, width] as boxes, top to bottom: pixels over the threshold,
 * 8-connected, each region grown by as much as training shrank it (differentiable binarisation, Liao et al. 2020, section 3.5).
 */
export function textBoxes({ shape, data }: Fp32Tensor): readonly FoundBox[] {
  const [, , height = 0, width = 0] = shape;
  const seen = new Uint8Array(width * height);
  const found: FoundBox[] = [];
  for (let start = 0; start < data.length; start++) {
    if (seen[start] || (data[start] ?? 0) <= pixelThreshold) continue;
    const { box, score } = fillRegion(data, width, height, start, seen);
    const shortestSide = Math.min(box.right - box.left, box.bottom - box.top);
    if (shortestSide >= smallestSidePixels && score >= boxThreshold) {
      found.push({ box: unclip(box, width, height), score });
    }
  }
  return found.sort((a, b) => a.box.top - b.box.top);
}

function fillRegion(
  data: Float32Array,
  width: number,
  height: number,
  start: number,
  seen: Uint8Array,
): FoundBox {
  const box = { left: width, top: height, right: 0, bottom: 0 };
  const open = [start];
  seen[start] = 1;
  let sum = 0;
  let count = 0;
  for (let pixel = open.pop(); pixel !== undefined; pixel = open.pop()) {
    const x = pixel % width;
    const y = (pixel - x) / width;
    sum += data[pixel] ?? 0;
    count++;
    box.left = Math.min(box.left, x);
    box.top = Math.min(box.top, y);
    box.right = Math.max(box.right, x + 1);
    box.bottom = Math.max(box.bottom, y + 1);
    for (let nearY = Math.max(y - 1, 0); nearY <= Math.min(y + 1, height - 1); nearY++) {
      for (let nearX = Math.max(x - 1, 0); nearX <= Math.min(x + 1, width - 1); nearX++) {
        const near = nearY * width + nearX;
        if (seen[near] || (data[near] ?? 0) <= pixelThreshold) continue;
        seen[near] = 1;
        open.push(near);
      }
    }
  }
  return { box, score: sum / count };
}

function unclip(box: Box, width: number, height: number): Box {
  const perimeter = 2 * (box.right - box.left + box.bottom - box.top);
  const margin = Math.round((area(box) * unclipRatio) / perimeter);
  return {
    left: Math.max(box.left - margin, 0),
    top: Math.max(box.top - margin, 0),
    right: Math.min(box.right + margin, width),
    bottom: Math.min(box.bottom + margin, height),
  };
}

/** Converts a line of text for the two line models: 48 rows, proportions kept, at most `width` columns and padded to them. */
function lineTensor(line: RgbImage, width: number): Fp32Tensor {
  const scaledWidth = Math.min(Math.ceil((48 * line.width) / line.height), width);
  return toBgrTensor(resize(line, scaledWidth, 48), centred, width);
}

/** Returns whether the line is upright ('0') or upside down ('180'), and the model's confidence. */
export async function classifyAngle(
  run: Run,
  line: RgbImage,
): Promise<{ label: '0' | '180'; probability: number }> {
  const fetches = await run('ocr-angle', new Map([['x', lineTensor(line, 192)]]));
  const { index, value } = highest(fp32Output(fetches, 'softmax_0.tmp_0').data);
  return { label: index === 0 ? '0' : '180', probability: value };
}

/** The recogniser's classes, as written by scripts/fetch-models.ts. */
export async function recogniserLabels(): Promise<readonly string[]> {
  const path = join(import.meta.dirname, '..', '..', 'models', 'ocr-recognise', '1', 'labels.txt');
  return (await readFile(path, 'utf8')).replace(/\n$/, '').split('\n');
}

/** Reads the line's text. `labels`: the 6,625 classes of the recogniser, blank first. */
export async function recogniseText(run: Run, line: RgbImage, labels: readonly string[]): Promise<string> {
  const width = Math.max(320, Math.ceil((48 * line.width) / line.height));
  const fetches = await run('ocr-recognise', new Map([['x', lineTensor(line, width)]]));
  return decodeCtc(fp32Output(fetches, 'softmax_11.tmp_0'), labels);
}

/** Decodes [1, steps, classes] by greedy CTC: the most likely class of each step, repeats merged, blanks (class 0) omitted. */
export function decodeCtc({ shape, data }: Fp32Tensor, labels: readonly string[]): string {
  const [, steps = 0, classes = 0] = shape;
  if (labels.length !== classes) throw new Error(`${classes} classes have ${labels.length} labels`);
  let text = '';
  let before = 0;
  for (let step = 0; step < steps; step++) {
    const { index } = highest(data, step * classes, classes);
    if (index !== 0 && index !== before) text += labels[index];
    before = index;
  }
  return text;
}

/** Finds the lines of text in a picture, rotates those that are upside down, and reads them. */
export async function readText(
  run: Run,
  image: RgbImage,
  labels: readonly string[],
): Promise<readonly string[]> {
  const texts: string[] = [];
  for (const { box } of await detectText(run, image)) {
    const line = crop(image, box);
    const { label } = await classifyAngle(run, line);
    texts.push(await recogniseText(run, label === '180' ? turn(line) : line, labels));
  }
  return texts;
}
