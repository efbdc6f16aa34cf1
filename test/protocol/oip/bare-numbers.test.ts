/** NaN and infinities as bare words, as Python's JSON encoder writes them and Triton reads them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { markBareNumbers } from '../../../src/protocol/oip/bare-numbers.ts';
import { parseInferResponse } from '../../../src/protocol/oip/infer-client.ts';
import { input, parse } from './messages.ts';

const invalid = (message: string) =>
  expect.objectContaining({ code: 'invalid_request', message: expect.stringContaining(message) });

/** Formats a number like Python's `json.dumps`. */
function formatPython(value: number): string {
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0.0' : JSON.stringify(value);
  return String(value);
}

describe('bare NaN and infinities', () => {
  it.each(['FP32', 'FP64'])('are numbers in the data of %s', (datatype) => {
    const data = '[NaN,-NaN,Infinity,-Infinity,Inf,-Inf,1.5]';
    expect(Array.from(input({ datatype, shape: [7], data })?.data ?? [], Number)).toEqual([
      Number.NaN,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      1.5,
    ]);
  });

  it('may stand anywhere among numbers, flat, nested, or alone', () => {
    const number = fc.oneof(
      fc.double(),
      fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
    );
    fc.assert(
      fc.property(fc.array(fc.array(number, { minLength: 3, maxLength: 3 }), { minLength: 1 }), (rows) => {
        const values = Float64Array.from(rows.flat());
        const nested = `[${rows.map((row) => `[ ${row.map(formatPython).join(' , ')} ]`).join(',')}]`;
        const flat = `[${rows.flat().map(formatPython).join(',')}]`;
        const shape = [rows.length, 3];
        expect(input({ datatype: 'FP64', shape, data: nested })?.data).toEqual(values);
        expect(input({ datatype: 'FP64', shape, data: flat })?.data).toEqual(values);
      }),
    );
    expect(input({ datatype: 'FP32', shape: [], data: 'NaN' })?.data).toEqual(Float32Array.of(Number.NaN));
  });

  it('leave every string of the request unchanged', () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('NaN', '[NaN]', 'a\\', '"NaN', ',-Infinity,', '\\"Inf'),
    );
    fc.assert(
      fc.property(fc.array(text, { minLength: 1 }), text, (texts, id) => {
        const body = `{"id":${JSON.stringify(id)},"inputs":[
          {"name":"t","datatype":"BYTES","shape":[${texts.length}],"data":${JSON.stringify(texts)}},
          {"name":"x","datatype":"FP32","shape":[1],"data":[NaN]}]}`;
        const request = parse(body);
        expect(request.id).toBe(id);
        expect(request.inputs.get('t')?.data).toEqual(texts);
        expect(request.inputs.get('x')?.data).toEqual(Float32Array.of(Number.NaN));
      }),
    );
  });

  it('keep all digits of 64-bit integers beside them', () => {
    const body = `{"inputs":[
      {"name":"n","datatype":"INT64","shape":[1],"data":[9223372036854775807]},
      {"name":"x","datatype":"FP32","shape":[1],"data":[Infinity]}]}`;
    expect(parse(body).inputs.get('n')?.data).toEqual(BigInt64Array.of(2n ** 63n - 1n));
  });

  it.each([
    ['INT32', 'in the data of "x"'],
    ['INT64', 'in the data of "x"'],
    ['BOOL', 'in the data of "x"'],
    ['BYTES', 'in the data of "x"'],
  ])('are rejected in the data of %s', (datatype, place) => {
    expect(() => input({ datatype, shape: [1], data: '[NaN]' })).toThrow(invalid(`holds NaN ${place}`));
  });

  it.each([
    ['{"id":NaN,"inputs":[]}', 'in "id"'],
    ['{"parameters":{"a":[{"b":-Infinity}]},"inputs":[]}', 'in "parameters"'],
    ['{"inputs":[NaN]}', 'outside a tensor'],
    ['{"inputs":[{"name":Infinity,"data":[1]}]}', 'outside the data of a tensor'],
    ['NaN', 'outside a tensor'],
  ])('are rejected elsewhere: %s', (body, place) => {
    expect(() => parse(body)).toThrow(invalid(place));
  });

  it.each([
    '{"inputs":[{"data":[NaN1]}]}',
    '[NaN',
    '[nan]',
    '[Nan]',
    '[+Infinity]',
    '{NaN:1}',
    '[InfinityInfinity]',
  ])('do not make invalid JSON valid: %s', (body) => {
    expect(() => parse(body)).toThrow(invalid('not valid JSON'));
  });

  it('do not lift the range check of other numbers', () => {
    expect(() => input({ datatype: 'FP64', shape: [2], data: '[NaN,1e999]' })).toThrow(
      invalid('outside the range of FP64'),
    );
  });

  it('are rejected next to the characters that would mark them', () => {
    for (const mark of ['\u0080', '\\u0081']) expect(markBareNumbers(`["${mark}",NaN]`)).toBeUndefined();
  });

  it('never make the text longer', () => {
    const piece = fc.constantFrom(
      'NaN',
      'Inf',
      '-Infinity',
      '-NaN',
      '"NaN"',
      ',',
      '[',
      ']',
      '1',
      '"\\""',
      '-',
      'N',
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const text = pieces.join('');
        expect((markBareNumbers(text)?.text ?? text).length).toBeLessThanOrEqual(text.length);
      }),
    );
  });

  it('are read in the answers of other servers', () => {
    const body = '{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[NaN,-Infinity]}]}';
    const answer = parseInferResponse(new TextEncoder().encode(body), { headerLength: undefined });
    expect(answer.outputs.get('y')?.data).toEqual(Float32Array.of(Number.NaN, Number.NEGATIVE_INFINITY));
  });
});

describe('null in the data of a float', () => {
  it('is rejected with a hint how to write NaN', () => {
    expect(() => input({ datatype: 'FP32', shape: [2], data: '[1,null]' })).toThrow(
      invalid(
        'element 1 of input "x" is null; FP32 takes a number, "NaN", "Infinity" or "-Infinity" (write NaN, which some encoders turn into null, as "NaN")',
      ),
    );
  });
});
