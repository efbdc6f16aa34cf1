import { type RgbImage, toGreyTensor } from './image.ts';
import { fp32Output, highest, type Run } from './run.ts';

/** Returns the most likely digit in a 28×28 picture, white on black, and its probability. */
export async function nameDigit(run: Run, tile: RgbImage): Promise<{ digit: number; probability: number }> {
  const fetches = await run('digits', new Map([['image', toGreyTensor(tile)]]));
  const { index, value } = highest(fp32Output(fetches, 'probabilities').data);
  return { digit: index, probability: value };
}
