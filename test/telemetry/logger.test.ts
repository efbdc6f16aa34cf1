import { describe, expect, it } from 'vitest';
import { EdgewiseError } from '../../src/errors.ts';
import { createLogger, type LogEvent, type LogOptions } from '../../src/telemetry/logger.ts';

function logged(event: LogEvent, level: LogOptions['level'] = 'all'): unknown {
  const lines: string[] = [];
  createLogger({ level, write: (line) => lines.push(line) }).write(event);
  expect(lines.every((line) => !line.includes('\n'))).toBe(true);
  return lines.map((line) => JSON.parse(line));
}

describe('createLogger()', () => {
  it('writes one line of JSON with the fields that were given', () => {
    expect(logged({ level: 'info', event: 'inferred', requestId: 'r1', status: 200, ms: 3 })).toEqual([
      { level: 'info', event: 'inferred', requestId: 'r1', status: 200, ms: 3 },
    ]);
  });

  it('says the level of each line, for consoles that sort by it', () => {
    const levels: string[] = [];
    const logger = createLogger({ level: 'all', write: (_, level) => levels.push(level) });
    logger.write({ level: 'info', event: 'one' });
    logger.write({ level: 'error', event: 'two' });
    expect(levels).toEqual(['info', 'error']);
  });

  it('leaves out what is not on its list, however it came there', () => {
    const event = {
      level: 'info',
      event: 'x',
      body: 'secret',
      headers: { authorization: 'secret' },
    } as const;
    expect(logged(event)).toEqual([{ level: 'info', event: 'x' }]);
  });

  it('names the chain of causes by code or name, and clips long texts', () => {
    const inner = new TypeError('y'.repeat(1000));
    const cause = new EdgewiseError('no_capacity', 'out of\nmemory', { cause: inner });
    expect(logged({ level: 'error', event: 'x', cause })).toEqual([
      {
        level: 'error',
        event: 'x',
        causes: ['no_capacity: out of\nmemory', `TypeError: ${'y'.repeat(289)}…`],
      },
    ]);
  });

  it('does not follow a chain of causes without end, nor print what is no error', () => {
    const loop = new Error('a');
    loop.cause = loop;
    expect(logged({ level: 'error', event: 'x', cause: loop })).toEqual([
      { level: 'error', event: 'x', causes: Array(4).fill('Error: a') },
    ]);
    expect(logged({ level: 'error', event: 'x', cause: 'text of a request' })).toEqual([
      { level: 'error', event: 'x', causes: ['string'] },
    ]);
  });

  it.each([
    ['off', 0, 0],
    ['errors', 1, 0],
    ['all', 1, 1],
  ] as const)('at %s writes %d errors and %d others', (level, errors, infos) => {
    expect(logged({ level: 'error', event: 'x' }, level)).toHaveLength(errors);
    expect(logged({ level: 'info', event: 'x' }, level)).toHaveLength(infos);
  });
});
