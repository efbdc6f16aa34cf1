import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RuntimeIdentity } from '../../../src/engine/types.ts';
import { EdgewiseError } from '../../../src/errors.ts';
import type { InferenceFacts } from '../../../src/governance/receipt/issue.ts';
import { peekReceipt } from '../../../src/governance/receipt/read.ts';
import type { ReceiptModel } from '../../../src/governance/receipt/schema.ts';
import { replay, unlessRefused } from '../../../src/governance/replay/replay.ts';
import type { DisputedAnswer, ReplayMeans, Rerun } from '../../../src/governance/replay/types.ts';
import type { Manifest } from '../../../src/repository/schema.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { tinyManifest } from '../../support/tiny-model.ts';
import { digest, inferenceFacts, refusalFacts, tensors, testIssuer } from '../receipt/facts.ts';

const { issuer } = await testIssuer();
const wasm: RuntimeIdentity = { name: 'onnxruntime-web', version: '1.30.0', wasm: digest('e'), threads: 1 };
const native: RuntimeIdentity = { name: 'onnxruntime-node', version: '1.30.0' };
const inputs = tensors(1, 2);
const outputs = tensors(3);

/** An answer with its receipt, what its caller kept of it. */
async function answered(facts: Partial<InferenceFacts> = {}): Promise<DisputedAnswer> {
  const { compact, salt = '' } = await issuer.inference({ ...inferenceFacts, ...facts });
  return { receipt: peekReceipt(compact).receipt, salt, inputs };
}

const origin = {
  ...inferenceFacts.route,
  tier: 'origin',
  runtime: undefined,
  reproducibility: 'tolerance',
} as const;

const spec = (name: string): Manifest['inputs'][number] => ({ name, datatype: 'FP32', shape: [-1, -1] });
const graph = new Uint8Array([1]);
const manifest = await tinyManifest(graph, { name: 'mlp', inputs: [spec('x')], outputs: [spec('x')] });
const model = { manifest, manifestDigest: digest('a') };

function means(
  computed: ReadonlyMap<string, Tensor>,
  runtime = wasm,
): ReplayMeans & { readonly seen: readonly unknown[] } {
  const seen: unknown[] = [];
  return {
    seen,
    async model(wanted: ReceiptModel) {
      seen.push(wanted);
      return model;
    },
    async run(given, rerun: Rerun) {
      seen.push(given, rerun);
      return { outputs: computed, runtime };
    },
  };
}

describe('replay() of an answer whose bytes can be had again', () => {
  it('is reproduced_exact where the same runtime gives outputs that open the commitment', async () => {
    const disputed = await answered();
    const again = means(outputs);
    expect(await replay(disputed, again)).toEqual({ verdict: 'reproduced_exact' });
    expect(again.seen).toEqual([
      Reflect.get(disputed.receipt, 'model'),
      model,
      { inputs, outputs: ['x'], route: Reflect.get(disputed.receipt, 'route') },
    ]);
  });

  it('is not_reproduced where a single bit differs', async () => {
    const other = tensors(3.0000002);
    expect(await replay(await answered(), means(other))).toEqual({
      verdict: 'not_reproduced',
      detail: 'the same model in the same runtime gives other bytes',
    });
    const shown = { ...(await answered()), outputs };
    expect(await replay(shown, means(tensors(3.5)))).toMatchObject({
      verdict: 'not_reproduced',
      maxDifference: 0.5,
    });
  });

  it('is not_reproduced where the same runtime refuses the inputs, and evidence_missing where another one does', async () => {
    for (const code of ['invalid_request', 'shape_mismatch'] as const) {
      const refusing = (runtime?: RuntimeIdentity): ReplayMeans => ({
        ...means(outputs),
        run: () => unlessRefused(() => Promise.reject(new EdgewiseError(code, 'no')), runtime),
      });
      expect(await replay(await answered(), refusing(wasm))).toEqual({
        verdict: 'not_reproduced',
        // Without its reason, which may quote an input.
        detail: 'the runtime refuses these inputs',
      });
      for (const runtime of [undefined, native, { ...wasm, wasm: digest('0') }]) {
        expect(await replay(await answered(), refusing(runtime))).toMatchObject({
          verdict: 'evidence_missing',
        });
      }
      const tolerant = await answered({ route: { ...origin, runtime: wasm } });
      expect(await replay(tolerant, refusing(wasm))).toMatchObject({ verdict: 'evidence_missing' });
    }
  });

  it('is not_reproduced where the model takes no such inputs, or has no such outputs: nothing is run', async () => {
    const impossible: Partial<InferenceFacts>[] = [
      { inputs: new Map([['y', tensors(1).get('x')]]) as Map<string, Tensor> },
      { inputs: new Map([['x', { datatype: 'INT8', shape: [1, 1], data: new Int8Array(1) }]]) },
      { inputs: new Map([['x', { datatype: 'FP32', shape: [1], data: new Float32Array(1) }]]) },
      { outputs: new Map([['y', tensors(1).get('x')]]) as Map<string, Tensor> },
    ];
    for (const facts of impossible) {
      const again = means(outputs);
      const disputed = { ...(await answered(facts)), inputs: facts.inputs ?? inputs };
      expect(await replay(disputed, again)).toMatchObject({
        verdict: 'not_reproduced',
        detail: expect.stringContaining('mlp@1'),
      });
      expect(again.seen).toHaveLength(1);
    }
  });

  it('is not judged where anything else goes wrong, whatever its code', async () => {
    for (const code of ['invalid_request', 'no_capacity', 'digest_mismatch'] as const) {
      const failing = { ...means(outputs), run: () => Promise.reject(new EdgewiseError(code, 'no')) };
      await expect(replay(await answered(), failing)).rejects.toMatchObject({ code });
    }
    const full = unlessRefused(() => Promise.reject(new EdgewiseError('no_capacity', 'full')));
    await expect(full).rejects.toMatchObject({ code: 'no_capacity' });
    await expect(unlessRefused(() => Promise.reject(new Error('?')))).rejects.toThrow('?');
  });

  it('is evidence_missing with another runtime, whatever that computes', async () => {
    const others = [{ ...wasm, wasm: digest('0') }, native];
    for (const runtime of others) {
      for (const computed of [outputs, tensors(4)]) {
        const found = await replay(await answered(), means(computed, runtime));
        expect(found).toMatchObject({
          verdict: 'evidence_missing',
          detail: expect.stringContaining(digest('e')),
        });
      }
    }
    const unnamed = await answered({ route: { ...inferenceFacts.route, runtime: undefined } });
    expect(await replay(unnamed, means(outputs))).toMatchObject({ verdict: 'evidence_missing' });
    expect(await replay(unnamed, means(outputs, native))).toMatchObject({ verdict: 'evidence_missing' });
  });
});

describe('replay() of an answer that a tolerance is stated for', () => {
  const shown = async () => ({ ...(await answered({ route: origin })), outputs });

  it('is reproduced_exact where the bytes are the same, on whatever', async () => {
    expect(await replay(await answered({ route: origin }), means(outputs, native))).toEqual({
      verdict: 'reproduced_exact',
    });
  });

  it('is reproduced_within where every value is near enough, with the figures of the furthest', async () => {
    const found = await replay(await shown(), means(tensors(3.001), native));
    expect(found).toMatchObject({ verdict: 'reproduced_within' });
    expect(found.maxDifference).toBeCloseTo(0.001, 6);
    expect(found.tolerance).toBeCloseTo(3.001e-3 + 1e-5, 8);
  });

  it('is not_reproduced beyond that, and of other names or shapes', async () => {
    const far = await replay(await shown(), means(tensors(3.01), native));
    expect(far).toMatchObject({ verdict: 'not_reproduced' });
    expect(far.maxDifference).toBeGreaterThan(far.tolerance ?? Number.NaN);
    const elsewhere = new Map([['y', outputs.get('x') ?? tensors(0).get('x')]]) as Map<string, Tensor>;
    for (const other of [tensors(3, 3), elsewhere, new Map([...outputs, ...elsewhere])]) {
      expect(await replay(await shown(), means(other))).toMatchObject({ verdict: 'not_reproduced' });
    }
  });

  it('wants the outputs: without them evidence is missing, and others than committed to are refused', async () => {
    const hidden = await answered({ route: origin });
    expect(await replay(hidden, means(tensors(3.001)))).toMatchObject({ verdict: 'evidence_missing' });
    await expect(replay({ ...hidden, outputs: tensors(3.001) }, means(tensors(3.001)))).rejects.toMatchObject(
      {
        code: 'invalid_request',
      },
    );
  });
});

describe('replay()', () => {
  it('opens the inputs before anything else: others, or another salt, are invalid_request', async () => {
    const disputed = await answered();
    const other = await answered();
    const again = means(outputs);
    for (const wrong of [
      { ...disputed, inputs: tensors(1, 3) },
      { ...disputed, salt: other.salt },
      { ...disputed, salt: 'x' },
    ]) {
      await expect(replay(wrong, again)).rejects.toMatchObject({ code: 'invalid_request' });
    }
    expect(again.seen).toEqual([]);
  });

  it('is for answers: the receipt of a refusal is invalid_request', async () => {
    const { compact } = await issuer.refusal(refusalFacts);
    const disputed = { ...(await answered()), receipt: peekReceipt(compact).receipt };
    await expect(replay(disputed, means(outputs))).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('is class_not_reproducible where the receipt promises nothing', async () => {
    const route = { ...origin, reproducibility: 'none' } as const;
    for (const facts of [{ route }, { route, inputs: undefined, outputs: undefined }]) {
      const again = means(outputs);
      expect(await replay(await answered(facts), again)).toMatchObject({ verdict: 'class_not_reproducible' });
      expect(again.seen).toEqual([]);
    }
  });

  it('is evidence_missing of what went through unread, and where the model or its means are not to be had', async () => {
    for (const facts of [
      { route: origin, inputs: undefined, outputs: undefined },
      { route: origin, outputs: undefined },
    ]) {
      expect(await replay(await answered(facts), means(outputs))).toMatchObject({
        verdict: 'evidence_missing',
      });
    }
    const gone = { missing: 'gone' };
    const lacking: ReplayMeans[] = [
      { ...means(outputs), model: async () => gone },
      { ...means(outputs), run: async () => gone },
    ];
    for (const some of lacking) {
      expect(await replay(await answered(), some)).toEqual({ verdict: 'evidence_missing', detail: 'gone' });
    }
  });

  it('finds any change of any value of an exact answer', async () => {
    const values = fc.array(fc.float({ noNaN: true }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(values, fc.nat(), fc.float({ noNaN: true }), async (list, at, changed) => {
        const original = tensors(...list);
        const index = at % list.length;
        const forged = tensors(...list.map((value, i) => (i === index ? changed : value)));
        fc.pre(!Object.is(Math.fround(list[index] ?? 0), Math.fround(changed)));
        const disputed = await answered({ outputs: forged });
        expect(await replay(disputed, means(original))).toMatchObject({ verdict: 'not_reproduced' });
      }),
      { numRuns: 50 },
    );
  });
});
