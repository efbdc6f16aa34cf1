import { describe, expect, it } from 'vitest';
import { startService } from '../support/dev-service.ts';

describe('a worker with an unusable configuration', () => {
  it.each([
    [
      { EDGEWISE_ORIGIN_POOL: '[{"url":"gpu"}]' },
      /EDGEWISE_ORIGIN_POOL: .*\[0\]\.url is .*gpu.*; expected an http or https address/,
    ],
    [
      { EDGEWISE_MEMORY_CAP_MIB: 'lots' },
      /EDGEWISE_MEMORY_CAP_MIB: .*lots.* is not usable: expected a whole number/,
    ],
  ])('does not start, and names the key, the value and what was expected', async (vars, message) => {
    await expect(startService({ vars })).rejects.toThrow(message);
  });
});
