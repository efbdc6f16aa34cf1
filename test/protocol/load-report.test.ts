import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatLoadReport,
  loadReportOf,
  parseLoadReport,
  parseLoadReportFormat,
} from '../../src/protocol/load-report.ts';

describe('parseLoadReport()', () => {
  it.each([
    ['JSON {"application_utilization":0.35,"named_metrics":{"in_flight":3,"queued":1}}', 0.35],
    ['json {"application_utilization":0.35}', 0.35],
    ['{"application_utilization":0.35}', 0.35],
    ['TEXT application_utilization=0.35', 0.35],
    ['TEXT application_utilization=0.35, cpu_utilization=0.9', 0.35],
    ['application_utilization:0.35,cpu_utilization:0.9', 0.35],
    ['  cpu_utilization : 1.5e-1 ', 0.15],
    ['TEXT mem_utilization=0.9,cpu_utilization=0.2', 0.2],
    // Triton's header on its generate routes.
    ['TEXT named_metrics.kv_cache_utilization=0.5, named_metrics.max_token_capacity=1024', 0.5],
    ['JSON {"named_metrics":{"kv_cache_utilization":0.5,"max_token_capacity":1024}}', 0.5],
    ['JSON {"named_metrics":{"kv_cache_usage_perc":0.25,"gpu_utilization":0.75}}', 0.75],
    ['JSON {"utilization":{"gpu":0.5,"link":0.6}}', 0.6],
    ['JSON {"cpu_utilization":3}', 3],
    // protobuf prints unset figures as 0.
    ['JSON {"application_utilization":0,"cpu_utilization":0.4}', 0.4],
    [
      'JSON {"application_utilization":0,"cpu_utilization":0,"named_metrics":{"kv_cache_utilization":0.1}}',
      0.1,
    ],
    ['JSON {"application_utilization":0}', 0],
    ['TEXT named_metrics.kv_cache_utilization=0', 0],
  ])('reads the utilisation of %s', (value, utilisation) => {
    expect(parseLoadReport(value)?.utilisation).toBe(utilisation);
  });

  it.each([
    'JSON {"application_utilization":0.5,"named_metrics":{"in_flight":3,"queued":1}}',
    'TEXT application_utilization=0.5, named_metrics.in_flight=3, named_metrics.queued=1',
    'application_utilization:0.5,named_metrics.queued:1,named_metrics.in_flight:3',
  ])('reads the queued and running requests of %s', (value) => {
    expect(parseLoadReport(value)).toEqual({ utilisation: 0.5, queued: 1, inFlight: 3 });
  });

  it.each([
    null,
    '',
    'JSON',
    'JSON {',
    'JSON null',
    'JSON []',
    'JSON {"application_utilization":"0.5"}',
    'JSON {"application_utilization":-1}',
    'JSON {"named_metrics":null}',
    'JSON {"named_metrics":{"queued":4}}',
    'TEXT',
    'TEXT application_utilization',
    'TEXT application_utilization=',
    'TEXT application_utilization=NaN',
    'TEXT application_utilization=1e999',
    'BIN CAEQAg==',
    `TEXT application_utilization=0.5${',x=1'.repeat(2000)}`,
  ])('finds no report in %j', (value) => {
    expect(parseLoadReport(value)).toBeUndefined();
  });

  it('never throws, and never returns an invalid figure', () => {
    const piece = fc.constantFrom(
      'TEXT ',
      'JSON ',
      '{',
      '}',
      '"',
      ':',
      '=',
      ',',
      '1e9',
      '-1',
      'named_metrics',
    );
    const name = fc.constantFrom(
      'application_utilization',
      'cpu_utilization',
      '.queued',
      '__proto__',
      'null',
    );
    const text = fc
      .array(fc.oneof(piece, name, fc.string()), { maxLength: 20 })
      .map((parts) => parts.join(''));
    const tree = fc.dictionary(name, fc.jsonValue()).map((value) => `JSON ${JSON.stringify(value)}`);
    fc.assert(
      fc.property(fc.oneof(text, tree), (value) => {
        for (const figure of Object.values(parseLoadReport(value) ?? {})) {
          expect(figure).toBeGreaterThanOrEqual(0);
          expect(figure).toBeLessThan(Number.POSITIVE_INFINITY);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('loadReportOf()', () => {
  it("reads Envoy's JSON header if the common header is absent", () => {
    const json = { 'endpoint-load-metrics-json': '{"cpu_utilization":0.5}' };
    expect(loadReportOf(new Headers(json))).toEqual({ utilisation: 0.5 });
    expect(loadReportOf(new Headers({ ...json, 'endpoint-load-metrics': 'TEXT cpu_utilization=1' }))).toEqual(
      {
        utilisation: 1,
      },
    );
    expect(loadReportOf(new Headers())).toBeUndefined();
  });
});

describe('formatLoadReport()', () => {
  it('writes what parseLoadReport() reads, in both forms', () => {
    const figure = fc.double({ min: 0, noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(
        fc.record(
          { utilisation: figure, queued: fc.nat(), inFlight: fc.nat() },
          { requiredKeys: ['utilisation'] },
        ),
        fc.constantFrom('json', 'text'),
        (figures, format) => {
          expect(parseLoadReport(formatLoadReport(figures, format))).toEqual(figures);
        },
      ),
    );
  });

  it("has ORCA's form", () => {
    const figures = { utilisation: 0.35, queued: 1, inFlight: 3 };
    expect(formatLoadReport(figures)).toBe(
      'JSON {"application_utilization":0.35,"named_metrics":{"in_flight":3,"queued":1}}',
    );
    expect(formatLoadReport(figures, 'text')).toBe(
      'TEXT application_utilization=0.35, named_metrics.in_flight=3, named_metrics.queued=1',
    );
  });
});

describe('parseLoadReportFormat()', () => {
  it.each([
    ['json', 'json'],
    [' TEXT', 'text'],
    ['bin', undefined],
    [undefined, undefined],
    [null, undefined],
  ])('reads %j as %s', (value, format) => {
    expect(parseLoadReportFormat(value)).toBe(format);
  });
});
