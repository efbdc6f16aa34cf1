/** Your own model, as the README shows it: init, push, and a request. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { initConfig } from '../../src/cli/transfer/init-config.ts';
import { closedText, licenceText } from '../../src/cli/transfer/licence-text.ts';
import { modelConfigSchema } from '../../src/repository/config-schema.ts';
import { readClassLabels } from '../../src/repository/onnx/class-labels.ts';
import { decodeModel, encodeModel } from '../../src/repository/onnx/proto.ts';
import { node, value } from '../support/onnx-models.ts';
import { publisherKey } from '../support/publisher.ts';
import { type Outcome, spawnEdgewise } from './command-line.ts';
import { adminKey, startTestServer, type TestServer } from './server.ts';

let server: TestServer;
let folder: string;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'edgewise-init-'));
  return () => rmSync(folder, { recursive: true });
});

/** Runs a command line in `folder`, with quotes as a shell reads them. */
function run(line: string): Promise<Outcome> {
  const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  return spawnEdgewise(words, {
    cwd: folder,
    env: {
      EDGEWISE_URL: server.url,
      EDGEWISE_ADMIN_KEY: adminKey,
      EDGEWISE_PUBLISHER_KEY: publisherKey,
    },
  });
}

function readmeCommands(): readonly string[] {
  const [, block = ''] =
    /## Your own model\n\n```sh\n([\s\S]*?)```/.exec(readFileSync('README.md', 'utf8')) ?? [];
  return block
    .split('\n')
    .filter((line) => line.startsWith('npm run edgewise -- '))
    .map((line) => line.replace('npm run edgewise -- ', ''));
}

describe('the commands of the README for your own model', { timeout: 120_000 }, () => {
  it('publish a model that answers requests', async () => {
    copyFileSync('models/digits/1/model.onnx', join(folder, 'score.onnx'));
    const commands = readmeCommands();
    expect(commands).toHaveLength(2);
    for (const command of commands) {
      const { code, stderr } = await run(command);
      expect(code, stderr).toBe(0);
    }
    const answer = await fetch(`${server.url}/v2/models/acme-score/infer`, {
      method: 'POST',
      body: JSON.stringify({
        inputs: [
          { name: 'image', datatype: 'FP32', shape: [1, 1, 28, 28], data: new Array<number>(784).fill(0) },
        ],
      }),
    });
    expect(answer.status).toBe(200);
    expect(readFileSync(join(folder, 'models/acme-score/LICENSE'), 'utf8')).toMatch(
      /^MIT License\n\nCopyright \(c\) \d{4} Acme Vision\n/,
    );
    const again = await run(commands[0] ?? '');
    expect(again).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/exists already and is not overwritten/),
    });
  });

  it('exit with 2 if an option is missing', async () => {
    writeFileSync(join(folder, 'score.onnx'), '');
    expect(await run('model init score.onnx --creator A')).toMatchObject({ code: 2 });
    expect(await run('model init score.onnx --creator A --open')).toMatchObject({ code: 2 });
    expect(await run('model init score.onnx --creator A --open --closed')).toMatchObject({ code: 2 });
  });
});

const open = { open: true, spdx: 'MIT', creator: 'A', trainingData: 'x' };

function classifier(metadata: readonly { readonly key: string; readonly value: string }[] = []) {
  return decodeModel(
    encodeModel({
      irVersion: 10n,
      opsetImport: [{ version: 21n }],
      metadataProps: [...metadata],
      graph: {
        name: 'g',
        node: [node('Identity', ['ids'], ['scores'])],
        input: [value('ids', 'FP32', ['batch', 'sequence_length']), value('sr', 'INT64', [])],
        output: [value('scores', 'FP32', ['batch', 3])],
      },
    }),
  );
}

describe('initConfig()', () => {
  it('reads sequence, sample rate and class names from the graph, and returns a valid config', () => {
    const model = classifier([{ key: 'names', value: "{0: 'cat', 1: \"dog's\", 2: 'bird'}" }]);
    const { config, labelFiles } = initConfig(model, 'acme/score', 'Scores.', open);
    expect(modelConfigSchema.parse(config)).toMatchObject({
      sampleShapes: { ids: [1, 16] },
      sampleValues: { sr: 16_000 },
      labels: { scores: 'labels.txt' },
      maxBatchSize: 0,
      terms: { grant: 'not-required', anonymous: true, weightsMayLeave: true },
    });
    expect([...labelFiles]).toEqual([['labels.txt', ['cat', "dog's", 'bird']]]);
  });

  it('requires a grant for a closed model', () => {
    const { config } = initConfig(classifier(), 'score', 'Scores.', { ...open, open: false });
    expect(modelConfigSchema.parse(config)).toMatchObject({
      terms: {
        grant: 'required',
        anonymous: false,
        weightsMayLeave: false,
        licence: { acceptance: 'required' },
      },
    });
  });
});

describe('readClassLabels()', () => {
  it.each([
    ['["a", "b"]', ['a', 'b']],
    ["['a', 'b']", ['a', 'b']],
    ['{"0": "a", "1": "b"}', ['a', 'b']],
    ["{0: 'a', 2: 'b'}", undefined],
    ['not names', undefined],
    ['[1, 2]', undefined],
  ])('reads %s', (text, expected) => {
    expect(readClassLabels(classifier([{ key: 'classes', value: text }]))).toEqual(expected);
  });
});

describe('licenceText()', () => {
  it('returns the SPDX text with holder and year', async () => {
    expect(await licenceText('MIT', 'Jo Doe', 2026)).toMatch(/Copyright \(c\) 2026 Jo Doe/);
    expect(await licenceText('Apache-2.0', 'Jo Doe', 2026)).toMatch(/Apache License/);
    expect(closedText('Jo Doe', 'score', 2026)).toMatch(/All rights reserved/);
  });

  it.each(['mine', '../package', ''])('refuses %j', async (spdx) => {
    await expect(licenceText(spdx, 'x', 2026)).rejects.toThrow(/there is no text for the licence/);
  });
});
