import { beforeAll, describe, expect, it } from 'vitest';
import type { Feeds } from '../../../src/engine/types.ts';
import { createPublishEngines } from '../../../src/platform/node-cli.ts';
import {
  attributeTypes,
  encodeModel,
  type ModelProto,
  tensorTypes,
} from '../../../src/repository/onnx/proto.ts';
import { makeWeightsUnsigned } from '../../../src/repository/onnx/unsigned-weights.ts';
import { buildPackage } from '../../../src/repository/publish/build.ts';
import { readSource } from '../../../src/repository/publish/source.ts';
import type { PackageInput, PublishEngines, SampleFile } from '../../../src/repository/publish/types.ts';
import { floats, matMul, model, value } from '../onnx/models.ts';
import { packageInput, replaceRuns } from './package-input.ts';

let engines: PublishEngines;
beforeAll(async () => {
  engines = await createPublishEngines();
});

const sample = (name: string, document: unknown): SampleFile => ({
  name,
  bytes: new TextEncoder().encode(JSON.stringify(document)),
});

const request = (...data: number[]) => ({
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, data.length], data }],
});

/** Returns engines whose edge answers are wrong by the factor `off`. */
function inexactEdge(off: number): PublishEngines {
  return {
    ...engines,
    edge: (capBytes) =>
      replaceRuns(
        engines.edge(capBytes),
        async (feeds, session) =>
          new Map(
            [...(await session.run(feeds))].map(([name, tensor]) => [
              name,
              tensor.datatype === 'FP32'
                ? { ...tensor, data: tensor.data.map((each, index) => each * (1 + (index % 2) * off)) }
                : tensor,
            ]),
          ),
      ),
  };
}

describe('buildPackage() with samples', () => {
  const source = matMul(4, 6);

  it('compares the answers by the config’s agreement, and records it in the manifest', async () => {
    const steps: string[] = [];
    const agreement = { y: { cosine: 0.999, sameTop: 1 } };
    const input = packageInput(source, { agreement }, [
      sample('a.json', request(1, 2, 3, 4)),
      sample('b.json', request(0, 0, 1, 0)),
    ]);
    const { manifest } = await buildPackage(input, {
      engines: inexactEdge(0.01),
      onProgress: (step, detail) => steps.push(`${step} ${detail}`),
    });
    expect(manifest.agreement).toEqual(agreement);
    expect(steps.join('\n')).toMatch(/reference answered a\.json, b\.json/);
    expect(steps.join('\n')).toMatch(/measure b\.json: "y" cosine \(expected 0\.999 or more\) 0\.9999/);
  });

  it('refuses an edge that does not agree, naming the sample', async () => {
    const input = packageInput(source, { agreement: { '*': { cosine: 0.99999 } } }, [
      sample('a.json', request(1, 2, 3, 4)),
      sample('b.json', request(0, 0, 1, 0)),
    ]);
    await expect(buildPackage(input, { engines: inexactEdge(0.2) })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/output "y" cosine \(expected 0\.99999 or more\) 0\.9\d+ \(a\.json\)/),
    });
    const plain = packageInput(source, {}, [sample('a.json', request(1, 2, 3, 4))]);
    await expect(buildPackage(plain, { engines: inexactEdge(0.01) })).rejects.toThrow(/differs at element 1/);
  });

  it('publishes a model that refuses made-up inputs', async () => {
    const choosy = model({
      node: [
        {
          opType: 'Cast',
          input: ['x'],
          output: ['i'],
          attribute: [{ name: 'to', type: attributeTypes.INT, i: 7n }],
        },
        { opType: 'Gather', input: ['w', 'i'], output: ['y'] },
      ],
      initializer: [floats('w', [4])],
      input: [value('x', ['n', 2])],
      output: [value('y', ['n', 2])],
    });
    const wide = { ...request(1, 2), inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [3, 2] }] };
    const config = { sampleValues: { x: 9 } };
    await expect(buildPackage(packageInput(choosy, config), { engines })).rejects.toThrow(/samples\//);
    const { manifest } = await buildPackage(packageInput(choosy, config, [sample('a.json', wide)]), {
      engines,
    });
    expect(manifest.edgeProfile?.runs).toHaveLength(1);
  });

  it.each<[string, SampleFile, RegExp]>([
    ['what is no JSON', { name: 'a.json', bytes: Uint8Array.of(1) }, /sample a\.json cannot be used/],
    ['an input that is missing', sample('b.json', { inputs: [] }), /b\.json .*input "x" is missing/],
    [
      'another shape',
      sample('c.json', request(1, 2)),
      /c\.json .*FP32\[1,2\], but the graph declares FP32\[-1,4\]/,
    ],
  ])('refuses %s', async (_, file, message) => {
    await expect(buildPackage(packageInput(source, {}, [file]), { engines })).rejects.toThrow(message);
  });

  it('returns different digests for other samples and agreements, and keeps the digest without them', async () => {
    const digest = async (input: PackageInput) => (await readSource(input, {})).inputsDigest;
    const plain = await digest(packageInput(source));
    const { samples: _, ...without } = packageInput(source);
    expect(await digest(without)).toBe(plain);
    const others = [
      await digest(packageInput(source, {}, [sample('a.json', request(1, 2, 3, 4))])),
      await digest(packageInput(source, { agreement: { '*': { cosine: 0.9 } } })),
    ];
    expect(new Set([plain, ...others]).size).toBe(3);
  });

  it('refuses an empty rule', () => {
    expect(() => packageInput(source, { agreement: { y: {} } })).toThrow(/expected values, cosine, sameTop/);
  });
});

describe('a model that quantises its activations', () => {
  const [depth, width] = [256, 16];

  /** DynamicQuantizeLinear, then MatMulInteger with all weights 127: sixteen bits cannot hold two products. */
  function dynamic(zeroPoint: readonly number[] | undefined): ModelProto {
    const weights = new Int8Array(depth * width).fill(127);
    return model({
      node: [
        { opType: 'DynamicQuantizeLinear', input: ['x'], output: ['q', 's', 'z'] },
        {
          opType: 'MatMulInteger',
          input: ['q', 'w', 'z', ...(zeroPoint ? ['wz'] : [])],
          output: ['i'],
        },
        {
          opType: 'Cast',
          input: ['i'],
          output: ['f'],
          attribute: [{ name: 'to', type: attributeTypes.INT, i: 1n }],
        },
        { opType: 'Mul', input: ['f', 's'], output: ['y'] },
      ],
      initializer: [
        {
          name: 'w',
          dims: [BigInt(depth), BigInt(width)],
          dataType: tensorTypes.INT8,
          rawData: new Uint8Array(weights.buffer),
        },
        ...(zeroPoint
          ? [
              {
                name: 'wz',
                dims: zeroPoint.length === 1 ? [] : [BigInt(zeroPoint.length)],
                dataType: tensorTypes.INT8,
                rawData: new Uint8Array(Int8Array.from(zeroPoint).buffer),
              },
            ]
          : []),
      ],
      input: [value('x', ['n', depth])],
      output: [value('y', ['n', width])],
    });
  }

  const feeds: Feeds = new Map([
    ['x', { datatype: 'FP32', shape: [1, depth], data: new Float32Array(depth).fill(1) }],
  ]);

  it.each([[undefined], [[0]], [[-3]], [Array.from({ length: width }, (_, index) => index - 8)]])(
    'has exact sums as its reference on every processor, with the zero point %j',
    async (zeroPoint) => {
      const raised = makeWeightsUnsigned(dynamic(zeroPoint));
      const session = await engines.native.createSession({ graph: encodeModel(raised) });
      const answer = (await session.run(feeds)).get('y');
      const expected = Array.from({ length: width }, (_, column) => {
        const zero = zeroPoint?.length === 1 ? zeroPoint[0] : zeroPoint?.[column];
        return depth * (127 - (zero ?? 0));
      });
      for (const [column, sum] of expected.entries()) {
        expect(Math.abs(Number(answer?.data[column]) - sum)).toBeLessThan(sum * 1e-5);
      }
    },
  );

  it('has exact sums at an origin too', async () => {
    const session = await engines.origin.createSession({ graph: encodeModel(dynamic([0])) });
    const [first] = (await session.run(feeds)).get('y')?.data ?? [];
    expect(Number(first)).toBeCloseTo(depth * 127, 0);
  });

  it('is published for the edge', async () => {
    const { manifest } = await buildPackage(packageInput(dynamic([0])), { engines });
    expect(manifest.edgeProfile).toBeDefined();
  });
});
