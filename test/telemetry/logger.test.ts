import { describe, expect, it } from 'vitest';
import { EdgewiseError } from '../../src/errors.ts';
import { createLogger, type LogEvent, type LogOptions } from '../../src/telemetry/logger.ts';

function linesOf(event: LogEvent, level: LogOptions['level'] = 'all'): unknown {
  const lines: string[] = [];
  createLogger({ level, write: (line) => lines.push(line) }).write(event);
  expect(lines.every((line) => !line.includes('\n'))).toBe(true);
  return lines.map((line) => JSON.parse(line));
}

describe('createLogger()', () => {
  it('writes one line of JSON with the given fields', () => {
    expect(linesOf({ level: 'info', event: 'inferred', requestId: 'r1', status: 200, ms: 3 })).toEqual([
      { level: 'info', event: 'inferred', requestId: 'r1', status: 200, ms: 3 },
    ]);
  });

  it('passes the level of each line to the writer', () => {
    const levels: string[] = [];
    const logger = createLogger({ level: 'all', write: (_, level) => levels.push(level) });
    logger.write({ level: 'info', event: 'one' });
    logger.write({ level: 'error', event: 'two' });
    expect(levels).toEqual(['info', 'error']);
  });

  it('omits properties that are not on its list', () => {
    const event = {
      level: 'info',
      event: 'x',
      body: 'secret',
      headers: { authorization: 'secret' },
    } as const;
    expect(linesOf(event)).toEqual([{ level: 'info', event: 'x' }]);
  });

  it('lists the chain of causes by code or name, and clips long texts', () => {
    const inner = new TypeError('y'.repeat(1000));
    const cause = new EdgewiseError('no_capacity', 'out of\nmemory', { cause: inner });
    expect(linesOf({ level: 'error', event: 'x', cause })).toEqual([
      {
        level: 'error',
        event: 'x',
        causes: ['no_capacity: out of\nmemory', `TypeError: ${'y'.repeat(289)}…`],
      },
    ]);
  });

  it('limits a circular chain of causes, and does not print a cause that is not an error', () => {
    const loop = new Error('a');
    loop.cause = loop;
    expect(linesOf({ level: 'error', event: 'x', cause: loop })).toEqual([
      { level: 'error', event: 'x', causes: Array(4).fill('Error: a') },
    ]);
    expect(linesOf({ level: 'error', event: 'x', cause: 'text of a request' })).toEqual([
      { level: 'error', event: 'x', causes: ['string'] },
    ]);
  });

  it.each([
    ['off', 0, 0],
    ['errors', 1, 0],
    ['all', 1, 1],
  ] as const)('writes at level %s %d errors and %d other events', (level, errors, infos) => {
    expect(linesOf({ level: 'error', event: 'x' }, level)).toHaveLength(errors);
    expect(linesOf({ level: 'info', event: 'x' }, level)).toHaveLength(infos);
  });
});
