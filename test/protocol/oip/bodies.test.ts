import { describe, expect, it } from 'vitest';
import {
  parseModelMetadata,
  parseServerMetadata,
  serverMetadata,
} from '../../../src/protocol/oip/metadata.ts';
import { modelConfigBody } from '../../../src/protocol/oip/model-config.ts';
import {
  checkLoadRequest,
  parseRepositoryIndexRequest,
  parseUnloadRequest,
  type RepositoryIndexEntry,
  repositoryIndexBody,
} from '../../../src/protocol/oip/repository.ts';
import { unusedModelStatistics } from '../../../src/protocol/oip/statistics.ts';
import { code } from '../../support/edgewise-error.ts';

function bytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
}

describe('parseServerMetadata()', () => {
  it('reads what serverMetadata() writes', () => {
    const metadata = serverMetadata('1.2.3', ['binary_tensor_data', 'statistics']);
    expect(parseServerMetadata(bytes(metadata))).toEqual({
      name: 'edgewise',
      version: '1.2.3',
      extensions: ['binary_tensor_data', 'statistics'],
    });
  });

  it.each(['{"name":"x"}', 'nonsense', '[]', ''])('blames the server for %s', (text) => {
    expect(() => parseServerMetadata(bytes(text))).toThrow(code('origin_unavailable'));
  });
});

describe('parseModelMetadata()', () => {
  it('accepts a server without versions and with unknown datatypes', () => {
    const metadata = {
      name: 'm',
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'x', datatype: 'BF16', shape: [-1, 3] }],
      outputs: [],
    };
    expect(parseModelMetadata(bytes(metadata))).toEqual(metadata);
  });
});

describe('modelConfigBody()', () => {
  const inputs = [
    { name: 'x', datatype: 'FP32', shape: [-1, 3] },
    { name: 's', datatype: 'BYTES', shape: [-1, 1] },
  ] as const;

  it('omits the batch dimension from dims if there is a batch', () => {
    const config = { name: 'm', inputs, outputs: [], versionPolicy: { latest: { numVersions: 2 } } };
    const batched = modelConfigBody({ ...config, maxBatchSize: 8 });
    const always = {
      format: 'FORMAT_NONE',
      is_shape_tensor: false,
      allow_ragged_batch: false,
      optional: false,
    };
    expect(batched.input).toEqual([
      { name: 'x', data_type: 'TYPE_FP32', dims: [3], ...always },
      { name: 's', data_type: 'TYPE_STRING', dims: [1], ...always },
    ]);
    expect(batched.version_policy).toEqual({ latest: { num_versions: 2 } });
    expect(modelConfigBody({ ...config, maxBatchSize: 0 }).input[0]?.dims).toEqual([-1, 3]);
  });

  it('has dynamic_batching if there is a batch and the model configures it', () => {
    const config = { name: 'm', inputs, outputs: [], versionPolicy: { all: {} } };
    const dynamicBatching = { maxQueueDelayMicroseconds: 100, preferredBatchSizes: [4, 8] };
    expect(modelConfigBody({ ...config, maxBatchSize: 8, dynamicBatching }).dynamic_batching).toEqual({
      preferred_batch_size: [4, 8],
      max_queue_delay_microseconds: 100,
    });
    expect(modelConfigBody({ ...config, maxBatchSize: 8 })).not.toHaveProperty('dynamic_batching');
    expect(modelConfigBody({ ...config, maxBatchSize: 0, dynamicBatching })).not.toHaveProperty(
      'dynamic_batching',
    );
  });

  it('writes specific versions as numbers, as Triton does', () => {
    const config = { name: 'm', inputs: [], outputs: [], maxBatchSize: 0 };
    const specific = modelConfigBody({ ...config, versionPolicy: { specific: { versions: ['1', '3'] } } });
    expect(specific.version_policy).toEqual({ specific: { versions: [1, 3] } });
    expect(modelConfigBody({ ...config, versionPolicy: { all: {} } }).version_policy).toEqual({ all: {} });
  });
});

describe('repository requests', () => {
  it.each(['', '{}', '{"ready":null}', '{"ready":false}'])(
    'index lists all models for the body %j',
    (body) => {
      expect(parseRepositoryIndexRequest(bytes(body))).toEqual({ ready: false });
    },
  );

  it('index lists only ready models on request', () => {
    const options = parseRepositoryIndexRequest(bytes({ ready: true }));
    const entries: readonly RepositoryIndexEntry[] = [
      { name: 'a', version: '1', state: 'READY', reason: '' },
      { name: 'a', version: '2', state: 'UNAVAILABLE', reason: 'unloaded' },
    ];
    expect(repositoryIndexBody(entries, options)).toEqual([entries[0]]);
    expect(repositoryIndexBody(entries, { ready: false })).toEqual(entries);
  });

  it.each(['{"ready":1}', '[]', '{', '7'])('index rejects the body %s', (body) => {
    expect(() => parseRepositoryIndexRequest(bytes(body))).toThrow(code('invalid_request'));
  });

  it('load accepts no parameters', () => {
    checkLoadRequest(bytes(''));
    checkLoadRequest(bytes({ parameters: {} }));
    expect(() => checkLoadRequest(bytes({ parameters: { config: '{}' } }))).toThrow(code('invalid_request'));
    expect(() => checkLoadRequest(bytes({ parameters: 'x' }))).toThrow(code('invalid_request'));
  });

  it('unload accepts unload_dependents and nothing else', () => {
    expect(parseUnloadRequest(bytes(''))).toEqual({ unloadDependents: false });
    expect(parseUnloadRequest(bytes({ parameters: { unload_dependents: true } }))).toEqual({
      unloadDependents: true,
    });
    for (const parameters of [{ unload_dependents: 'yes' }, { other: true }]) {
      expect(() => parseUnloadRequest(bytes({ parameters }))).toThrow(code('invalid_request'));
    }
  });
});

describe('statistics', () => {
  it('start at zero', () => {
    const unused = unusedModelStatistics('m', '1');
    expect(unused.inference_stats.cache_miss).toEqual({ count: 0, ns: 0 });
  });
});
