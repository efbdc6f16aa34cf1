import { beforeAll, describe, expect, it } from 'vitest';
import { constantModel, identityModel } from '../support/onnx-models.ts';
import { publishTiny, type TestService, testService } from '../support/services.ts';
import type { TinyModel } from '../support/tiny-model.ts';

const echo = new Uint8Array(identityModel('INT64', ['n']).graph);
const sized = new Uint8Array(constantModel(1).graph);

const echoes = (values: TinyModel['values']): TinyModel => ({
  name: 'echo',
  inputs: [{ name: 'x', datatype: 'INT64', shape: [-1] }],
  outputs: [{ name: 'y', datatype: 'INT64', shape: [-1] }],
  values,
});
const makes = (name: string, bounded: boolean | undefined): TinyModel => ({
  name,
  inputs: [{ name: 'size', datatype: 'INT64', shape: [1] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
  // Absent where it is undefined, as in what was published before.
  ...({ bounded } as Pick<TinyModel, 'bounded'>),
});

function infer(service: TestService, model: string, input: string, ...data: readonly (number | string)[]) {
  const inputs = `[{"name":"${input}","datatype":"INT64","shape":[${data.length}],"data":[${data.join(',')}]}]`;
  return service.fetch(`/v2/models/${model}/infer`, { method: 'POST', body: `{"inputs":${inputs}}` });
}

describe.each(['edge', 'origin'] as const)('values within bounds at the %s', (tier) => {
  let service: TestService;
  beforeAll(async () => {
    service = await testService({ tier });
    await publishTiny(service, echo, echoes({ x: { min: 0, max: 100 } }));
  });

  it('are answered', async () => {
    expect((await infer(service, 'echo', 'x', 0, 100)).status).toBe(200);
  });

  it.each([
    ['above', [1, 101], 'input "x" has 101 at index 1; the model expects 0 to 100'],
    ['below', [-1], 'input "x" has -1 at index 0; the model expects 0 to 100'],
    ['far above', ['10000000000000'], 'input "x" has 10000000000000 at index 0; the model expects 0 to 100'],
  ])('are refused %s, by input, index and value', async (_, data, message) => {
    const answer = await infer(service, 'echo', 'x', ...data);
    expect([answer.status, answer.headers.get('Edgewise-Error')]).toEqual([400, 'invalid_request']);
    expect(await answer.json()).toEqual({ error: message });
  });
});

describe('a model of unbounded cost', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await testService();
    await publishTiny(service, sized, makes('old', undefined));
    await publishTiny(service, sized, {
      ...makes('old-bounded', undefined),
      values: { size: { min: 0, max: 9 } },
    });
    await publishTiny(service, echo, { ...echoes(undefined), bounded: undefined as never });
    await publishTiny(service, sized, makes('found', false));
  });

  it('does not run at the edge if it was published before a push checked its bounds', async () => {
    const first = await infer(service, 'old', 'size', 2);
    expect([first.status, first.headers.get('Edgewise-Error')]).toEqual([503, 'model_not_ready']);
    expect(await first.text()).toMatch(/compute without end.*push it as a new version/);
    const second = await infer(service, 'old', 'size', 2);
    expect([second.status, second.headers.get('Edgewise-Error')]).toEqual([503, 'origin_unavailable']);
  });

  it('runs at the edge if its shapes or the bounds of its values limit the cost', async () => {
    expect((await infer(service, 'echo', 'x', 2)).status).toBe(200);
    expect((await infer(service, 'old-bounded', 'size', 2)).status).toBe(200);
    expect((await infer(service, 'old-bounded', 'size', 10)).status).toBe(400);
  });

  it('does not run at the edge if its push found the cost unbounded', async () => {
    const answer = await infer(service, 'found', 'size', 2);
    expect([answer.status, answer.headers.get('Edgewise-Error')]).toEqual([503, 'origin_unavailable']);
  });

  it('runs at an origin', async () => {
    const origin = await testService({ tier: 'origin' });
    await publishTiny(origin, sized, makes('old', undefined));
    expect((await infer(origin, 'old', 'size', 2)).status).toBe(200);
  });
});
