import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RuntimeIdentity } from '../../../src/engine/types.ts';
import { EdgewiseError } from '../../../src/errors.ts';
import type { InferenceFacts } from '../../../src/governance/receipt/issue.ts';
import { peekReceipt } from '../../../src/governance/receipt/read.ts';
import type { ReceiptModel } from '../../../src/governance/receipt/schema.ts';
import { catchRefusal, replay } from '../../../src/governance/replay/replay.ts';
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

/** Issues a receipt and returns the answer as its caller keeps it. */
async function answer(facts: Partial<InferenceFacts> = {}): Promise<DisputedAnswer> {
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

function meansWith(
  computed: ReadonlyMap<string, Tensor>,
  runtime = wasm,
): ReplayMeans & { readonly seen: readonly unknown[] } {
  const seen: unknown[] = [];
  return {
    seen,
    async model(reference: ReceiptModel) {
      seen.push(reference);
      return model;
    },
    async run(found, rerun: Rerun) {
      seen.push(found, rerun);
      return { outputs: computed, runtime };
    },
  };
}

describe('replay() of an exactly reproducible answer', () => {
  it('finds reproduced_exact if the same runtime gives outputs that match the commitment', async () => {
    const disputed = await answer();
    const again = meansWith(outputs);
    expect(await replay(disputed, again)).toEqual({ verdict: 'reproduced_exact' });
    expect(again.seen).toEqual([
      Reflect.get(disputed.receipt, 'model'),
      model,
      { inputs, outputs: ['x'], route: Reflect.get(disputed.receipt, 'route') },
    ]);
  });

  it('finds not_reproduced if a single bit differs', async () => {
    const other = tensors(3.0000002);
    expect(await replay(await answer(), meansWith(other))).toEqual({
      verdict: 'not_reproduced',
      detail: 'the same model in the same runtime gives other bytes',
    });
    const shown = { ...(await answer()), outputs };
    expect(await replay(shown, meansWith(tensors(3.5)))).toMatchObject({
      verdict: 'not_reproduced',
      maxDifference: 0.5,
    });
  });

  it('finds not_reproduced if the same runtime refuses the inputs, and evidence_missing if another one does', async () => {
    for (const code of ['invalid_request', 'shape_mismatch'] as const) {
      const refusing = (runtime?: RuntimeIdentity): ReplayMeans => ({
        ...meansWith(outputs),
        run: () => catchRefusal(() => Promise.reject(new EdgewiseError(code, 'no')), runtime),
      });
      expect(await replay(await answer(), refusing(wasm))).toEqual({
        verdict: 'not_reproduced',
        // The reason is left out, because it may quote an input.
        detail: 'the runtime refuses these inputs',
      });
      for (const runtime of [undefined, native, { ...wasm, wasm: digest('0') }]) {
        expect(await replay(await answer(), refusing(runtime))).toMatchObject({
          verdict: 'evidence_missing',
        });
      }
      const tolerant = await answer({ route: { ...origin, runtime: wasm } });
      expect(await replay(tolerant, refusing(wasm))).toMatchObject({ verdict: 'evidence_missing' });
    }
  });

  it('finds not_reproduced, without a run, if the model does not have these inputs or outputs', async () => {
    const impossible: Partial<InferenceFacts>[] = [
      { inputs: new Map([['y', tensors(1).get('x')]]) as Map<string, Tensor> },
      { inputs: new Map([['x', { datatype: 'INT8', shape: [1, 1], data: new Int8Array(1) }]]) },
      { inputs: new Map([['x', { datatype: 'FP32', shape: [1], data: new Float32Array(1) }]]) },
      { outputs: new Map([['y', tensors(1).get('x')]]) as Map<string, Tensor> },
    ];
    for (const facts of impossible) {
      const again = meansWith(outputs);
      const disputed = { ...(await answer(facts)), inputs: facts.inputs ?? inputs };
      expect(await replay(disputed, again)).toMatchObject({
        verdict: 'not_reproduced',
        detail: expect.stringContaining('mlp@1'),
      });
      expect(again.seen).toHaveLength(1);
    }
  });

  it('throws for any other error of the run', async () => {
    for (const code of ['invalid_request', 'no_capacity', 'digest_mismatch'] as const) {
      const failing = { ...meansWith(outputs), run: () => Promise.reject(new EdgewiseError(code, 'no')) };
      await expect(replay(await answer(), failing)).rejects.toMatchObject({ code });
    }
    const full = catchRefusal(() => Promise.reject(new EdgewiseError('no_capacity', 'full')));
    await expect(full).rejects.toMatchObject({ code: 'no_capacity' });
    await expect(catchRefusal(() => Promise.reject(new Error('?')))).rejects.toThrow('?');
  });

  it('finds evidence_missing with another runtime, whatever its result', async () => {
    const others = [{ ...wasm, wasm: digest('0') }, native];
    for (const runtime of others) {
      for (const computed of [outputs, tensors(4)]) {
        const finding = await replay(await answer(), meansWith(computed, runtime));
        expect(finding).toMatchObject({
          verdict: 'evidence_missing',
          detail: expect.stringContaining(digest('e')),
        });
      }
    }
    const unnamed = await answer({ route: { ...inferenceFacts.route, runtime: undefined } });
    expect(await replay(unnamed, meansWith(outputs))).toMatchObject({ verdict: 'evidence_missing' });
    expect(await replay(unnamed, meansWith(outputs, native))).toMatchObject({ verdict: 'evidence_missing' });
  });
});

describe('replay() of an answer that is reproducible within a tolerance', () => {
  const shown = async () => ({ ...(await answer({ route: origin })), outputs });

  it('finds reproduced_exact for equal bytes on any runtime', async () => {
    expect(await replay(await answer({ route: origin }), meansWith(outputs, native))).toEqual({
      verdict: 'reproduced_exact',
    });
  });

  it('finds reproduced_within if every value is near enough, with the figures of the furthest value', async () => {
    const found = await replay(await shown(), meansWith(tensors(3.001), native));
    expect(found).toMatchObject({ verdict: 'reproduced_within' });
    expect(found.maxDifference).toBeCloseTo(0.001, 6);
    expect(found.tolerance).toBeCloseTo(3.001e-3 + 1e-5, 8);
  });

  it('finds not_reproduced beyond the tolerance, and for other names or shapes', async () => {
    const far = await replay(await shown(), meansWith(tensors(3.01), native));
    expect(far).toMatchObject({ verdict: 'not_reproduced' });
    expect(far.maxDifference).toBeGreaterThan(far.tolerance ?? Number.NaN);
    const elsewhere = new Map([['y', outputs.get('x') ?? tensors(0).get('x')]]) as Map<string, Tensor>;
    for (const other of [tensors(3, 3), elsewhere, new Map([...outputs, ...elsewhere])]) {
      expect(await replay(await shown(), meansWith(other))).toMatchObject({ verdict: 'not_reproduced' });
    }
  });

  it('finds evidence_missing without the outputs, and refuses outputs that do not match the commitment', async () => {
    const hidden = await answer({ route: origin });
    expect(await replay(hidden, meansWith(tensors(3.001)))).toMatchObject({ verdict: 'evidence_missing' });
    await expect(
      replay({ ...hidden, outputs: tensors(3.001) }, meansWith(tensors(3.001))),
    ).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });
});

describe('replay()', () => {
  it('refuses inputs or a salt that do not match the receipt, before anything else', async () => {
    const disputed = await answer();
    const other = await answer();
    const again = meansWith(outputs);
    for (const wrong of [
      { ...disputed, inputs: tensors(1, 3) },
      { ...disputed, salt: other.salt },
      { ...disputed, salt: 'x' },
    ]) {
      await expect(replay(wrong, again)).rejects.toMatchObject({ code: 'invalid_request' });
    }
    expect(again.seen).toEqual([]);
  });

  it('refuses the receipt of a refusal', async () => {
    const { compact } = await issuer.refusal(refusalFacts);
    const disputed = { ...(await answer()), receipt: peekReceipt(compact).receipt };
    await expect(replay(disputed, meansWith(outputs))).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('finds class_not_reproducible if the receipt makes no promise', async () => {
    const route = { ...origin, reproducibility: 'none' } as const;
    for (const facts of [{ route }, { route, inputs: undefined, outputs: undefined }]) {
      const again = meansWith(outputs);
      expect(await replay(await answer(facts), again)).toMatchObject({ verdict: 'class_not_reproducible' });
      expect(again.seen).toEqual([]);
    }
  });

  it('finds evidence_missing for an answer that was not read, and if the model or its runtime is missing', async () => {
    for (const facts of [
      { route: origin, inputs: undefined, outputs: undefined },
      { route: origin, outputs: undefined },
    ]) {
      expect(await replay(await answer(facts), meansWith(outputs))).toMatchObject({
        verdict: 'evidence_missing',
      });
    }
    const gone = { missing: 'gone' };
    const lacking: ReplayMeans[] = [
      { ...meansWith(outputs), model: async () => gone },
      { ...meansWith(outputs), run: async () => gone },
    ];
    for (const some of lacking) {
      expect(await replay(await answer(), some)).toEqual({ verdict: 'evidence_missing', detail: 'gone' });
    }
  });

  it('finds not_reproduced for any change of any value of an exact answer', async () => {
    const values = fc.array(fc.float({ noNaN: true }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(values, fc.nat(), fc.float({ noNaN: true }), async (list, at, changed) => {
        const original = tensors(...list);
        const index = at % list.length;
        const forged = tensors(...list.map((value, i) => (i === index ? changed : value)));
        fc.pre(!Object.is(Math.fround(list[index] ?? 0), Math.fround(changed)));
        const disputed = await answer({ outputs: forged });
        expect(await replay(disputed, meansWith(original))).toMatchObject({ verdict: 'not_reproduced' });
      }),
      { numRuns: 50 },
    );
  });
});
