import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fetchModels, modelsDirectory, readSampleModels } from '../../scripts/fetch-models.ts';
import { createOrtNodeEngine } from '../../src/engine/ort-node.ts';
import type { Session } from '../../src/engine/types.ts';
import { shapeMatches } from '../../src/tensor/shape.ts';
import { readModel } from '../support/native-run.ts';
import { fp32, fp32Output } from '../support/run.ts';

await fetchModels();
const models = await readSampleModels();

async function withSession(name: string, use: (session: Session) => Promise<void>): Promise<void> {
  const session = await createOrtNodeEngine().createSession({ graph: await readModel(name) });
  try {
    await use(session);
  } finally {
    await session.release();
  }
}

describe('models/', () => {
  it('holds the seven sample models', () => {
    expect(models.map(({ name }) => name).toSorted()).toEqual([
      'digits',
      'digits-int8',
      'mlp',
      'ocr-angle',
      'ocr-detect',
      'ocr-recognise',
      'speech-detect',
    ]);
  });

  describe.each(models)('$name', (config) => {
    it('has a config that fits its graph', () =>
      withSession(config.name, async ({ inputs, outputs }) => {
        const shapes = new Map(inputs.map(({ name, shape }) => [name, shape]));
        for (const [name, shape] of Object.entries(config.sampleShapes)) {
          expect(shapeMatches(shapes.get(name) ?? [], shape), `sample shape of ${name}`).toBe(true);
        }
        for (const name of Object.keys(config.sampleValues)) expect([...shapes.keys()]).toContain(name);
        for (const [name, file] of Object.entries(config.labels)) {
          const lines = await readFile(join(modelsDirectory, config.name, '1', file), 'utf8');
          const classes = outputs.find((output) => output.name === name)?.shape.at(-1);
          expect(lines.replace(/\n$/, '').split('\n')).toHaveLength(classes ?? Number.NaN);
        }
        if (config.maxBatchSize > 0) {
          for (const { name, shape } of [...inputs, ...outputs])
            expect(shape[0], `batch of ${name}`).toBe(-1);
        }
      }));

    it('has a card that describes inputs, outputs, licence, limits, size and speed', async () => {
      const card = await readFile(join(modelsDirectory, config.name, 'card.md'), 'utf8');
      for (const heading of ['Inputs and outputs', 'Limits', 'Size and speed']) {
        expect(card).toContain(`\n## ${heading}\n`);
      }
      expect(card).toContain(`Licence: ${config.terms.licence.spdx}`);
    });
  });
});

describe('mlp', () => {
  it('is a linear map, as its card says', () =>
    withSession('mlp', async (session) => {
      const rows = [
        new Float32Array(10),
        unit(2),
        unit(7),
        Float32Array.from(unit(2), (v, i) => 3 * v - (unit(7)[i] ?? 0)),
      ];
      const data = new Float32Array(40);
      rows.forEach((row, index) => {
        data.set(row, index * 10);
      });
      const output = fp32Output(await session.run(new Map([['input', fp32([4, 10], data)]])), 'output');
      expect(output.shape).toEqual([4, 10]);
      const at = (row: number, column: number) => output.data[row * 10 + column] ?? Number.NaN;
      for (let column = 0; column < 10; column++) {
        const offset = at(0, column);
        const expected = offset + 3 * (at(1, column) - offset) - (at(2, column) - offset);
        expect(at(3, column)).toBeCloseTo(expected, 4);
      }
    }));
});

function unit(index: number): Float32Array {
  return new Float32Array(10).fill(1, index, index + 1);
}
