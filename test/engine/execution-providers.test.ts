import { describe, expect, it } from 'vitest';
import { ProviderChain } from '../../src/engine/execution-providers.ts';
import { EdgewiseError } from '../../src/errors.ts';
import { errorOf } from './contract.ts';

/** A provider chain on a machine that has the providers `has`. */
function chainOf(configured: readonly string[], has: readonly string[], cpuFallback = true) {
  const probed: string[] = [];
  const skipped: (readonly [string, Error])[] = [];
  const chain = new ProviderChain({
    configured,
    cpuFallback,
    probe: async (provider) => {
      probed.push(provider);
      if (!has.includes(provider)) throw new Error(`${provider} is missing`);
    },
    onSkipped: (provider, reason) => skipped.push([provider, reason]),
  });
  return { chain, probed, skipped };
}

const never = () => false;

describe('ProviderChain.usable()', () => {
  it('skips providers that the machine lacks, reports each once, and has cpu last', async () => {
    const { chain, probed, skipped } = chainOf(['tensorrt', 'cuda', 'webgpu'], ['cuda']);
    const both = await Promise.all([chain.usable(), chain.usable()]);
    expect(both).toEqual([
      ['cuda', 'cpu'],
      ['cuda', 'cpu'],
    ]);
    expect(probed).toEqual(['tensorrt', 'cuda', 'webgpu']);
    expect(skipped.map(([provider, { message }]) => [provider, message])).toEqual([
      ['tensorrt', 'tensorrt is missing'],
      ['webgpu', 'webgpu is missing'],
    ]);
  });

  it('keeps cpu at its configured place, and does not probe it', async () => {
    const { chain, probed } = chainOf(['cpu', 'cuda', 'cpu'], ['cuda']);
    expect(await chain.usable()).toEqual(['cpu', 'cuda']);
    expect(probed).toEqual(['cuda']);
  });

  it('rejects with every reason if no provider is usable and cpu is excluded', async () => {
    const { chain } = chainOf(['cuda', 'webgpu'], [], false);
    const error = await errorOf(chain.usable());
    expect(error.code).toBe('internal');
    expect(error.cause).toEqual(new Error('cuda: cuda is missing; webgpu: webgpu is missing'));
    expect((await errorOf(chain.create(async () => 'made', never))).code).toBe('internal');
    expect((await errorOf(chainOf([], [], false).chain.usable())).cause).toEqual(
      new Error('none is configured'),
    );
  });
});

describe('ProviderChain.create()', () => {
  const has = ['tensorrt', 'cuda'];

  it('creates a session with all usable providers in order', async () => {
    const { chain, skipped } = chainOf(['tensorrt', 'cuda'], has);
    expect(await chain.create(async (providers) => providers, never)).toEqual(['tensorrt', 'cuda', 'cpu']);
    expect(skipped).toEqual([]);
  });

  it('leaves out failing providers one by one, for that model only', async () => {
    const { chain, skipped } = chainOf(['tensorrt', 'cuda'], has);
    const failure = new EdgewiseError('invalid_request', 'not with this one');
    const stubborn = async (providers: readonly string[]) => {
      if (providers.includes('cuda')) throw failure;
      return providers;
    };
    expect(await chain.create(stubborn, never)).toEqual(['cpu']);
    expect(skipped.map(([provider]) => provider)).toEqual(['cuda', 'tensorrt']);
    expect(skipped.map(([, reason]) => reason.cause)).toEqual([failure, failure]);
    expect(skipped[0]?.[1].message).toBe('a model could not be loaded with this provider and runs on cpu');
    expect(await chain.create(async (providers) => providers, never)).toEqual(['tensorrt', 'cuda', 'cpu']);
  });

  it('throws the error of the last provider for a bad model, and reports no provider as skipped', async () => {
    const { chain, skipped } = chainOf(['cuda'], has);
    const bad = async (providers: readonly string[]) => {
      throw new EdgewiseError('invalid_request', `no model for ${providers[0]}`);
    };
    expect((await errorOf(chain.create(bad, never))).message).toBe('no model for cpu');
    expect(skipped).toEqual([]);
  });

  it('does not retry a final failure', async () => {
    const { chain, skipped } = chainOf(['cuda'], has);
    const full = async (providers: readonly string[]) => {
      throw new EdgewiseError('no_capacity', `no room on ${providers[0]}`);
    };
    expect((await errorOf(chain.create(full, () => true))).message).toBe('no room on cuda');
    expect(skipped).toEqual([]);
  });
});
