import { describe, expect, it } from 'vitest';
import { encodeInferRequest } from '../../../src/protocol/oip/infer-client.ts';
import { parseKeptExchange } from '../../../src/protocol/oip/kept-exchange.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const x: Tensor = { datatype: 'INT64', shape: [2], data: BigInt64Array.of(2n ** 63n - 1n, -1n) };
const y: Tensor = { datatype: 'FP32', shape: [1], data: Float32Array.of(0.1) };
const entry = (name: string, datatype: string, data: string) =>
  `[{"name":"${name}","datatype":"${datatype}","shape":[${data.split(',').length}],"data":[${data}]}]`;

describe('parseKeptExchange()', () => {
  it('reads the tensors of both sides, long integers exactly, and the other members', () => {
    const inputs = entry('x', 'INT64', '9223372036854775807,-1');
    const { document, ...tensors } = parseKeptExchange(
      bytes(`{"receipt":"r","inputs":${inputs},"outputs":${entry('y', 'FP32', '0.1')}}`),
    );
    expect(tensors).toEqual({ inputs: new Map([['x', x]]), outputs: new Map([['y', y]]) });
    expect(document['receipt']).toBe('r');
    expect(parseKeptExchange(bytes(`{"inputs":${inputs}}`)).outputs).toBeUndefined();
  });

  it('takes the binary tensors of the inputs first, then those of the outputs, and no bytes may be left', () => {
    const { body, headerLength = '' } = encodeInferRequest({
      inputs: new Map<string, Tensor>([
        ['x', x],
        ['y', y],
      ]),
      binaryInput: true,
      binaryOutput: false,
    });
    const text = new TextDecoder().decode(body.subarray(0, Number(headerLength)));
    const json = bytes(text.replace('},{', '}],"outputs":[{'));
    const whole = new Uint8Array([...json, ...body.subarray(Number(headerLength))]);
    const options = { headerLength: String(json.byteLength) };
    expect(parseKeptExchange(whole, options)).toMatchObject({
      inputs: new Map([['x', x]]),
      outputs: new Map([['y', y]]),
    });
    for (const wrong of [whole.subarray(0, -1), new Uint8Array([...whole, 0])]) {
      expect(() => parseKeptExchange(wrong, options)).toThrow(/bytes are left/);
    }
  });

  it('rejects a malformed exchange, and one beyond the limits', () => {
    for (const text of [
      '',
      '[]',
      '{}',
      '{"inputs":{}}',
      '{"inputs":[],"outputs":1}',
      '{"inputs":[],"outputs":null}',
    ]) {
      expect(() => parseKeptExchange(bytes(text))).toThrow(
        expect.objectContaining({ code: 'invalid_request' }),
      );
    }
    const limits = { maxJsonBytes: 10, maxDepth: 9, maxContainers: 9 };
    expect(() => parseKeptExchange(bytes('{"inputs":[]}'), { limits })).toThrow(
      expect.objectContaining({ code: 'too_large' }),
    );
  });
});
