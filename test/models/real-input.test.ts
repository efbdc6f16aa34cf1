/** The sample models on real input, directly on native ONNX Runtime: their answers are compared to the content of the input. */
import { describe, expect, it } from 'vitest';
import { sampleRate, speechProbabilities } from '../support/audio.ts';
import { nativeRun } from '../support/native-run.ts';
import { describePictures, expectPhrase, mean, recording, voicedPart } from '../support/real-input-suite.ts';
import { fp32, type Run } from '../support/run.ts';

const run = await nativeRun();

await describePictures('on native ONNX Runtime', run);

describe('speech-detect on native ONNX Runtime', async () => {
  const probabilities = await speechProbabilities(run, recording);

  it('is high during the phrase, and low before and after it', () => {
    expectPhrase(probabilities);
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

  it('is less certain if its state is discarded after every frame', async () => {
    const state = fp32([2, 1, 128], new Float32Array(256));
    const forgetful: Run = (model, feeds) => run(model, new Map([...feeds, ['state', state]]));
    const heard = await speechProbabilities(forgetful, recording);
    expect(mean(voicedPart(heard))).toBeLessThan(mean(voicedPart(probabilities)) - 0.1);
  });
});
