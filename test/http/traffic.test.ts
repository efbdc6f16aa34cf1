/** Splits and shadows as callers and operators see them: through the whole service. */
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { identityModel, model, node, value } from '../support/onnx-models.ts';
import {
  adminKey,
  bearer,
  callerKey,
  publishTiny,
  type TestService,
  testService,
} from '../support/services.ts';

const dimensions = ['n', 2];
const signature = {
  inputs: [{ name: 'x', datatype: 'FP32' as const, shape: [-1, 2] }],
  outputs: [{ name: 'y', datatype: 'FP32' as const, shape: [-1, 2] }],
};
/** Version 1 gives its input back, version 2 the negative of it. */
const graphs = {
  '1': new Uint8Array(identityModel('FP32', dimensions).graph),
  '2': model({
    node: [node('Neg', ['x'], ['y'])],
    input: [value('x', 'FP32', dimensions)],
    output: [value('y', 'FP32', dimensions)],
  }),
};

let service: TestService;
beforeAll(async () => {
  service = await testService();
  for (const name of ['split', 'shadowed']) {
    await publishTiny(service, graphs['1'], { name, version: '1', ...signature }, ['stable', 'beta']);
    await publishTiny(service, graphs['2'], { name, version: '2', ...signature });
  }
});

const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [3, 1] }] });

function infer(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return service.fetch(`/v2/models/${path}/infer`, { method: 'POST', body, headers });
}

/** The version that answered. */
async function answered(path: string, headers?: Record<string, string>): Promise<string | undefined> {
  const answer = await infer(path, headers);
  expect(answer.status).toBe(200);
  const version = /@(\d+);/.exec(answer.headers.get('Edgewise-Model') ?? '')?.[1];
  expect(await answer.json()).toMatchObject({
    model_version: version,
    outputs: [{ data: version === '2' ? [-3, -1] : [3, 1] }],
  });
  return version;
}

async function admin(method: string, path: string, document?: unknown): Promise<unknown> {
  const sent = document === undefined ? {} : { body: JSON.stringify(document) };
  const answer = await service.fetch(`/admin/models/${path}`, { method, headers: bearer(adminKey), ...sent });
  expect(answer.status).toBe(200);
  return answer.json();
}

const arms = (first: number) => ({
  arms: [
    { version: '1', percent: first },
    { version: '2', percent: 100 - first },
  ],
});
const sessions = Array.from({ length: 60 }, (_, index) => ({ 'X-Session-Id': `session-${index}` }));

/** The version that each session gets, asked one after the other. */
async function bySession(path: string, headers: Record<string, string> = {}): Promise<string[]> {
  const versions: string[] = [];
  for (const session of sessions) versions.push((await answered(path, { ...session, ...headers })) ?? 'none');
  return versions;
}

describe('an alias with a split', () => {
  it('divides sessions between versions, keeps each in its arm, and moves as few as possible', async () => {
    await admin('PUT', 'split/aliases/stable/split', arms(70));
    const first = await bySession('split');
    expect(new Set(first)).toEqual(new Set(['1', '2']));
    expect(await bySession('split')).toEqual(first);
    expect(await bySession('split/versions/stable')).toEqual(first);
    await admin('PUT', 'split/aliases/stable/split', arms(30));
    const then = await bySession('split');
    expect(then.filter((version) => version === '2').length).toBeGreaterThan(
      first.filter((version) => version === '2').length,
    );
    for (const [index, version] of first.entries()) {
      if (version === '2') expect(then[index]).toBe('2');
    }
    await admin('DELETE', 'split/aliases/stable/split');
    expect(new Set(await bySession('split'))).toEqual(new Set(['1']));
  });

  it('keeps a key in its arm, even if the caller names a session', async () => {
    await admin('PUT', 'split/aliases/stable/split', arms(50));
    const key = bearer(callerKey);
    const all = await bySession('split', key);
    expect(new Set(all).size).toBe(1);
    expect(await answered('split', key)).toBe(all[0]);
  });

  it('does not affect other aliases or versions by number', async () => {
    await admin('PUT', 'split/aliases/stable/split', arms(1));
    expect(new Set(await bySession('split/versions/beta'))).toEqual(new Set(['1']));
    expect(new Set(await bySession('split/versions/1'))).toEqual(new Set(['1']));
  });
});

describe('an alias with a shadow', () => {
  it("answers with the alias's own version, and compares the shadow's answer afterwards", async () => {
    await admin('PUT', 'shadowed/aliases/stable/shadow', { version: '2', percent: 100 });
    expect(await answered('shadowed')).toBe('1');
    const target = { model: 'shadowed', alias: 'stable', version: '2' };
    await vi.waitFor(async () => {
      expect(await admin('GET', 'shadowed/shadows')).toEqual({
        shadows: [
          {
            ...target,
            sent: 1,
            skipped: 0,
            failed: 0,
            unlike: 0,
            compared: 1,
            exact: 0,
            near: 0,
            maxDifference: 6,
            rows: 1,
            sameTopRows: 0,
          },
        ],
      });
    });
    expect(await answered('shadowed/versions/beta')).toBe('1');
    expect(await answered('shadowed/versions/1')).toBe('1');
    await admin('DELETE', 'shadowed/aliases/stable/shadow');
    expect(await answered('shadowed')).toBe('1');
    expect(await admin('GET', 'shadowed/shadows')).toMatchObject({ shadows: [{ ...target, sent: 1 }] });
  });

  it('does not affect callers when its tier cannot run the copy', async () => {
    await admin('PUT', 'shadowed/aliases/beta/shadow', { version: '2', tier: 'origin', percent: 100 });
    expect(await answered('shadowed/versions/beta')).toBe('1');
    await vi.waitFor(async () => {
      expect(await admin('GET', 'shadowed/shadows')).toMatchObject({
        shadows: expect.arrayContaining([expect.objectContaining({ alias: 'beta', sent: 1, failed: 1 })]),
      });
    });
    expect(service.logLines.filter((line) => line.includes('shadow_failed'))).toHaveLength(1);
  });
});
