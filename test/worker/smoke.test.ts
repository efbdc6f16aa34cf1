import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';

it('has the bindings', async () => {
  await env.MODELS.put('a', 'b');
  expect(await (await env.MODELS.get('a'))?.text()).toBe('b');
});
