import { describe, expect, it } from 'vitest';
import { defaultJsonLimits } from '../../../src/protocol/oip/json-text.ts';
import { code } from '../../support/edgewise-error.ts';
import { parse, request } from './messages.ts';

const x = { name: 'x', shape: [1], datatype: 'FP32', data: [1] };

describe('parseInferRequest()', () => {
  it('returns id, parameters and requested outputs', () => {
    const parsed = parse({
      id: 'a-1',
      parameters: { priority: 2, custom: 'y', on: true, binary_data_output: true },
      inputs: [x],
      outputs: [{ name: 'p' }, { name: 'q', parameters: { binary_data: true, classification: 2 } }],
      model_name: 'an unknown key',
    });
    expect(parsed.id).toBe('a-1');
    expect(parsed.parameters).toEqual({ priority: 2, custom: 'y', on: true, binary_data_output: true });
    expect(parsed.binaryOutput).toBe(true);
    // Listed outputs are JSON unless their own binary_data says otherwise, whatever binary_data_output says.
    expect(parsed.outputs).toEqual([
      { name: 'p', binary: false },
      { name: 'q', binary: true, classification: 2 },
    ]);
  });

  it('treats null and an empty list of outputs as absent', () => {
    const parsed = parse({ id: null, parameters: null, inputs: [{ ...x, parameters: null }], outputs: null });
    expect(parsed).toEqual({ parameters: {}, inputs: parsed.inputs, binaryOutput: false });
    expect(parse({ inputs: [x], outputs: [] }).outputs).toBeUndefined();
  });

  it('accepts a byte order mark before the JSON', () => {
    expect(parse(`\ufeff${JSON.stringify({ inputs: [x] })}`).inputs.size).toBe(1);
  });

  it.each([
    ['{"inputs":[', 'not valid JSON'],
    ['', 'not valid JSON'],
    ['[]', 'an array; expected a JSON object'],
    ['"text"', 'a string'],
    ['{}', '"inputs" is missing'],
    ['{"inputs":{}}', '"inputs" is an object'],
    ['{"inputs":[null]}', 'inputs[0] has no usable name'],
    ['{"inputs":[{"name":""}]}', 'has no usable name'],
    ['{"inputs":[{"name":"x"}]}', '"datatype" of input "x" is missing'],
    ['{"inputs":[{"name":"x","datatype":7}]}', '"datatype" of input "x" is 7'],
    ['{"inputs":[{"name":"x","datatype":"FP32"}]}', '"shape" of input "x"'],
    [`{"inputs":[],"id":7}`, '"id" is 7'],
    [`{"inputs":[],"outputs":{}}`, '"outputs" is an object'],
    [`{"inputs":[],"outputs":[{}]}`, 'outputs[0] has no usable name'],
    [`{"inputs":[],"outputs":[{"name":"a"},{"name":"a"}]}`, '"a" twice'],
    [
      `{"inputs":[],"outputs":[{"name":"a","parameters":{"binary_data":1}}]}`,
      'binary_data of output "a" is 1',
    ],
    [`{"inputs":[],"outputs":[{"name":"a","parameters":{"classification":-1}}]}`, 'classification'],
    [`{"inputs":[],"outputs":[{"name":"a","parameters":{"classification":1.5}}]}`, 'classification'],
    [`{"inputs":[],"parameters":[]}`, '"parameters" of the request is an array'],
    [`{"inputs":[],"parameters":{"triton_x":1}}`, 'reserved'],
    [`{"inputs":[],"parameters":{"sequence_id":7}}`, 'sequence'],
    [`{"inputs":[],"parameters":{"sequence_start":true}}`, 'sequence'],
    [`{"inputs":[],"parameters":{"binary_data_output":"yes"}}`, 'binary_data_output'],
  ])('refuses %s with invalid_request', (text, message) => {
    expect(() => parse(text)).toThrow(code('invalid_request', message));
  });

  it('keeps unknown parameters unchanged, including objects', () => {
    const parameters = { headers: { a: ['b', null] }, none: null, timeout: 5 };
    expect(parse({ inputs: [], parameters }).parameters).toEqual(parameters);
    const entry = {
      name: 'x',
      datatype: 'FP32',
      shape: [1],
      data: [1],
      parameters: { content: { kind: 'raw' } },
    };
    expect(parse({ inputs: [entry] }).inputs.size).toBe(1);
  });

  it('names the header if it cuts the JSON or leaves bytes over', () => {
    const json = JSON.stringify({ inputs: [] });
    const named = code('invalid_request', 'Inference-Header-Content-Length');
    expect(() => parse(json, undefined, { headerLength: '5' })).toThrow(named);
    expect(() => parse(`${json}    `, undefined, { headerLength: String(json.length) })).toThrow(named);
    expect(() => parse(json, undefined, { headerLength: '5000' })).toThrow(named);
  });

  it('does not quote the body in the message about invalid JSON', () => {
    expect(() => parse('{"secret-value" 1}')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret') }),
    );
  });

  it('rejects duplicate input names, too many inputs, and an id that is too long', () => {
    expect(() => parse({ inputs: [x, x] })).toThrow(code('invalid_request', '"x" twice'));
    const many = Array.from({ length: 513 }, (_, index) => ({ ...x, name: `x${index}` }));
    expect(() => parse({ inputs: many })).toThrow(code('invalid_request', '513'));
    expect(() => parse({ inputs: [x], id: 'i'.repeat(1025) })).toThrow(code('invalid_request', '1025'));
  });

  it('says that shared memory is not offered', () => {
    const parameters = { shared_memory_region: 'r', shared_memory_byte_size: 4 };
    const { data: _, ...bare } = x;
    expect(() => parse({ inputs: [{ ...bare, parameters }] })).toThrow(
      code('invalid_request', 'shared memory'),
    );
    expect(() => parse({ inputs: [x], outputs: [{ name: 'y', parameters }] })).toThrow(
      code('invalid_request', 'shared memory'),
    );
  });

  it('requires exactly one of data and binary_data_size', () => {
    const neither = request({ shape: [1], datatype: 'FP32' });
    expect(() => parse(neither)).toThrow(code('invalid_request', 'neither'));
    const both = request({ shape: [1], datatype: 'FP32', data: [1], parameters: { binary_data_size: 4 } });
    expect(() => parse(both, [0, 0, 0, 0])).toThrow(code('invalid_request', 'both'));
  });

  it.each(['BF16', 'STRING', 'fp32', 'toString', '__proto__'])(
    'calls the datatype %s unsupported',
    (datatype) => {
      expect(() => parse(request({ shape: [1], datatype, data: [1] }))).toThrow(
        code('unsupported_datatype', datatype),
      );
    },
  );

  it('treats names of Object.prototype as unknown', () => {
    const parsed = parse(
      '{"inputs":[{"name":"__proto__","shape":[1],"datatype":"FP32","data":[1]}],"parameters":{"__proto__":1}}',
    );
    expect([...parsed.inputs.keys()]).toEqual(['__proto__']);
    expect(parsed.binaryOutput).toBe(false);
  });

  it('refuses text that is not UTF-8', () => {
    const bytes = [0x7b, 0xff, 0x7d];
    expect(() => parse('', bytes, { headerLength: '3' })).toThrow(code('invalid_request', 'not UTF-8'));
  });
});

describe('maxJsonBytes', () => {
  const limits = { ...defaultJsonLimits, maxJsonBytes: 120 };
  const size = 100;
  const entry = { name: 'x', shape: [size], datatype: 'UINT8' };

  it('rejects more JSON before parsing it, and says what to do', () => {
    const text = JSON.stringify({ inputs: [] }).padEnd(120);
    expect(parse(text, [], { limits }).inputs.size).toBe(0);
    expect(() => parse(`${text} `, [], { limits })).toThrow(
      code('too_large', 'has 121 bytes of JSON; at most 120 are accepted. Tensors can be sent in binary'),
    );
    const noText = new Array(121).fill(0xff);
    expect(() => parse('', noText, { limits, headerLength: '121' })).toThrow(code('too_large'));
  });

  it('does not count binary tensors', () => {
    const text = JSON.stringify({ inputs: [{ ...entry, parameters: { binary_data_size: size } }] });
    const headerLength = String(text.length);
    expect(parse(text, new Array(size).fill(1), { limits, headerLength }).inputs.size).toBe(1);
  });
});

describe('JSON nesting', () => {
  const nest = (depth: number, key: string): string =>
    `{"${key}":${'['.repeat(depth)}${']'.repeat(depth)},"inputs":[]}`;

  it('may be at most 100 deep', () => {
    expect(parse(nest(99, 'extra')).inputs.size).toBe(0);
    expect(() => parse(nest(100, 'extra'))).toThrow(code('invalid_request', 'nested deeper than 100'));
    expect(() => parse(nest(200, 'extra'))).toThrow(code('invalid_request', 'nested deeper than 100'));
    expect(() => parse('{"a":'.repeat(1_000_000))).toThrow(code('invalid_request', 'nested deeper than 100'));
  });

  it('is not counted inside strings', () => {
    const brackets = '[{\\"'.repeat(300);
    expect(parse(`{"extra":"${brackets}","inputs":[]}`).inputs.size).toBe(0);
    expect(() => parse(`{"\\\\":${'['.repeat(101)}${']'.repeat(101)},"inputs":[]}`)).toThrow(
      code('invalid_request', 'nested'),
    );
  });

  it('does not count closed brackets', () => {
    expect(parse(`{"extra":[${'[],'.repeat(500)}[]],"inputs":[]}`).inputs.size).toBe(0);
  });

  it('refuses more than a million arrays', () => {
    const text = `{"extra":[${'[],'.repeat(2 ** 20)}[]],"inputs":[]}`;
    expect(() => parse(text)).toThrow(code('too_large', 'arrays and objects'));
  });
});
