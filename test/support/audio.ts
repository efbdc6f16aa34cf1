/** Speech detection with Silero VAD: preprocessing, and the state that is passed from frame to frame. */
import { readFile } from 'node:fs/promises';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { fp32, fp32Output, type Run } from './run.ts';

export const sampleRate = 16_000;
/** New samples per step: 32 ms. */
export const frameSamples = 512;
/** Samples of the previous frame that precede each frame (silero-vad, utils_vad.py, OnnxWrapper). */
const contextSamples = 64;

/** Reads the samples, from −1 to 1, of a WAV file, which must be 16-bit PCM, mono, 16 kHz. */
export async function readWav(path: string): Promise<Float32Array> {
  const file = await readFile(path);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 12; at + 8 <= file.byteLength; ) {
    const name = file.toString('latin1', at, at + 4);
    const byteLength = view.getUint32(at + 4, true);
    const body = at + 8;
    if (name === 'fmt ') {
      const format = [
        view.getUint16(body, true),
        view.getUint16(body + 2, true),
        view.getUint32(body + 4, true),
      ];
      const expected = [1, 1, sampleRate];
      if (format.join() !== expected.join() || view.getUint16(body + 14, true) !== 16) {
        throw new Error(
          `${path}: expected 16-bit PCM, mono, ${sampleRate} Hz; got format, channels, rate ${format}`,
        );
      }
    }
    if (name === 'data') {
      return Float32Array.from(
        { length: byteLength / 2 },
        (_, i) => view.getInt16(body + 2 * i, true) / 32_768,
      );
    }
    at = body + byteLength + (byteLength % 2);
  }
  throw new Error(`${path}: no data chunk`);
}

/** Returns the speech probability of every whole frame; the model's state is passed from frame to frame. */
export async function speechProbabilities(run: Run, samples: Float32Array): Promise<readonly number[]> {
  const sr: Tensor = { datatype: 'INT64', shape: [], data: BigInt64Array.of(BigInt(sampleRate)) };
  let state = fp32([2, 1, 128], new Float32Array(2 * 128));
  const probabilities: number[] = [];
  for (let at = 0; at + frameSamples <= samples.length; at += frameSamples) {
    const window = new Float32Array(contextSamples + frameSamples);
    const from = Math.max(at - contextSamples, 0);
    window.set(samples.subarray(from, at + frameSamples), contextSamples - (at - from));
    const input = fp32([1, window.length], window);
    const fetches = await run(
      'speech-detect',
      new Map<string, Tensor>([
        ['input', input],
        ['state', state],
        ['sr', sr],
      ]),
    );
    probabilities.push(fp32Output(fetches, 'output').data[0] ?? Number.NaN);
    state = fp32Output(fetches, 'stateN');
  }
  return probabilities;
}
