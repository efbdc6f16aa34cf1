import { readFile } from 'node:fs/promises';
import { PNG } from 'pngjs';
import { type Fp32Tensor, fp32 } from './run.ts';

/** A picture with eight bits per channel, RGB, row by row. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A rectangle; right and bottom are exclusive. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export async function readPng(path: string): Promise<RgbImage> {
  const { width, height, data } = PNG.sync.read(await readFile(path));
  const rgb = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    rgb.set(data.subarray(pixel * 4, pixel * 4 + 3), pixel * 3);
  }
  return { width, height, data: rgb };
}

/** Returns a new image whose pixels are `pixelAt(x, y)`, an offset into `source.data`. */
function gather(
  source: RgbImage,
  width: number,
  height: number,
  pixelAt: (x: number, y: number) => number,
): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = pixelAt(x, y);
      data.set(source.data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return { width, height, data };
}

export function crop(image: RgbImage, { left, top, right, bottom }: Box): RgbImage {
  return gather(image, right - left, bottom - top, (x, y) => ((top + y) * image.width + left + x) * 3);
}

/** Returns the image rotated by 180°. */
export function turn(image: RgbImage): RgbImage {
  const { width, height } = image;
  return gather(image, width, height, (x, y) => ((height - 1 - y) * width + width - 1 - x) * 3);
}

/** Resizes with bilinear interpolation, pixel centres aligned (OpenCV's INTER_LINEAR). */
export function resize(image: RgbImage, width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  const at = (x: number, y: number, channel: number) => image.data[(y * image.width + x) * 3 + channel] ?? 0;
  for (let y = 0; y < height; y++) {
    const [top, bottom, down] = neighbours(y, height, image.height);
    for (let x = 0; x < width; x++) {
      const [left, right, along] = neighbours(x, width, image.width);
      for (let channel = 0; channel < 3; channel++) {
        const upper = at(left, top, channel) * (1 - along) + at(right, top, channel) * along;
        const lower = at(left, bottom, channel) * (1 - along) + at(right, bottom, channel) * along;
        data[(y * width + x) * 3 + channel] = Math.round(upper * (1 - down) + lower * down);
      }
    }
  }
  return { width, height, data };
}

/** Returns the two source positions around the centre of `position`, and the weight of the second. */
function neighbours(position: number, size: number, sourceSize: number): readonly [number, number, number] {
  const centre = Math.min(Math.max(((position + 0.5) * sourceSize) / size - 0.5, 0), sourceSize - 1);
  const first = Math.floor(centre);
  return [first, Math.min(first + 1, sourceSize - 1), centre - first];
}

export interface Normalisation {
  /** Per channel of the tensor, for values scaled to 0…1. */
  readonly mean: readonly [number, number, number];
  readonly deviation: readonly [number, number, number];
}

/**
 * Converts the image to FP32 [1, 3, height, paddedWidth] in BGR order, like OpenCV and therefore PaddleOCR; each value is
 * (v / 255 − mean) / deviation, and 0 in the padding on the right.
 */
export function toBgrTensor(
  image: RgbImage,
  { mean, deviation }: Normalisation,
  paddedWidth = image.width,
): Fp32Tensor {
  const { width, height } = image;
  const data = new Float32Array(3 * height * paddedWidth);
  for (let channel = 0; channel < 3; channel++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const value = (image.data[(y * width + x) * 3 + (2 - channel)] ?? 0) / 255;
        data[(channel * height + y) * paddedWidth + x] =
          (value - (mean[channel] ?? 0)) / (deviation[channel] ?? 1);
      }
    }
  }
  return fp32([1, 3, height, paddedWidth], data);
}

/** Converts the image to brightness from 0 (black) to 1 (white) as FP32 [1, 1, height, width], the input of `digits`. */
export function toGreyTensor({ width, height, data }: RgbImage): Fp32Tensor {
  const grey = Float32Array.from({ length: width * height }, (_, pixel) => (data[pixel * 3 + 1] ?? 0) / 255);
  return fp32([1, 1, height, width], grey);
}

/** Returns intersection over union: 1 for equal boxes, 0 for disjoint boxes. */
export function overlap(a: Box, b: Box): number {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  const shared = Math.max(width, 0) * Math.max(height, 0);
  return shared / (area(a) + area(b) - shared);
}

export function area({ left, top, right, bottom }: Box): number {
  return (right - left) * (bottom - top);
}
