import { describe, expect, it } from 'vitest';
import { modelConfigSchema } from '../../src/repository/config-schema.ts';
import { manifestSchema } from '../../src/repository/schema.ts';
import { openSourceTerms } from '../support/terms.ts';
import { miniature } from './fixtures.ts';

const plain = { name: 'm', description: 'd', terms: openSourceTerms };

function complaint(config: Record<string, unknown>): string | undefined {
  const issue = modelConfigSchema.safeParse({ ...plain, ...config }).error?.issues[0];
  return issue && `${issue.path.join('.')}: ${issue.message}`;
}

describe('modelConfigSchema', () => {
  it('lets weights be used at the edge and leaves out batching by default', () => {
    const config = modelConfigSchema.parse(plain);
    expect(config.edgePermitted).toBe(true);
    expect(config).not.toHaveProperty('dynamicBatching');
  });

  it('fills in the defaults of dynamicBatching', () => {
    const { dynamicBatching } = modelConfigSchema.parse({ ...plain, maxBatchSize: 8, dynamicBatching: {} });
    expect(dynamicBatching).toEqual({ maxQueueDelayMicroseconds: 0, preferredBatchSizes: [] });
  });

  it.each([
    [
      'a preferred size above maxBatchSize',
      { maxBatchSize: 4, dynamicBatching: { preferredBatchSizes: [2, 5] } },
    ],
    ['batching without a batch dimension', { dynamicBatching: {} }],
  ])('refuses %s', (_, config) => {
    expect(complaint(config)).toMatch(/^dynamicBatching: expected a maxBatchSize above 0/);
  });

  it.each([
    ['a delay below 0', { maxQueueDelayMicroseconds: -1 }],
    ['a delay above 10 s', { maxQueueDelayMicroseconds: 10_000_001 }],
    ['a delay that is no whole number', { maxQueueDelayMicroseconds: 0.5 }],
    ['a preferred size of 0', { preferredBatchSizes: [0] }],
    ["Triton's own spelling", { preferred_batch_size: [2] }],
  ])('refuses %s', (_, dynamicBatching) => {
    expect(complaint({ maxBatchSize: 8, dynamicBatching })).toMatch(/^dynamicBatching/);
  });

  it('refuses to pin a model to the edge whose licence keeps it at the origin', () => {
    expect(complaint({ edgePermitted: false, tier: 'edge' })).toMatch(/^tier: .*edgePermitted: false/);
    expect(complaint({ edgePermitted: false, tier: 'auto' })).toBeUndefined();
    expect(complaint({ edgePermitted: false, tier: 'origin' })).toBeUndefined();
  });
});

describe('manifestSchema', () => {
  it('applies the same rules to an uploaded manifest', async () => {
    const { manifest } = await miniature();
    const parses = (change: object) => manifestSchema.safeParse({ ...manifest, ...change }).success;
    expect(parses({})).toBe(true);
    expect(parses({ edgePermitted: false })).toBe(true);
    expect(parses({ edgePermitted: false, tier: 'edge' })).toBe(false);
    expect(parses({ dynamicBatching: {} })).toBe(false);
    expect(parses({ maxBatchSize: 4, dynamicBatching: { preferredBatchSizes: [4] } })).toBe(true);
    expect(parses({ maxBatchSize: 4, dynamicBatching: { preferredBatchSizes: [5] } })).toBe(false);
  });
});
