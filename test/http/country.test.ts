/** Where a connection comes from is what the platform says, and nothing that a caller can write. */
import { describe, expect, it } from 'vitest';
import { createApp } from '../../src/http/app.ts';
import { createFakeEngine, fakeGraph } from '../support/fake-engine.ts';
import { publishTiny, testService } from '../support/services.ts';
import { termsOf } from '../support/terms.ts';

const spec = (name: string) => ({ name, datatype: 'FP32' as const, shape: [-1] });
const signature = { inputs: [spec('x')], outputs: [spec('y')] };
const body = JSON.stringify({ inputs: [{ ...spec('x'), shape: [2], data: [1, 2] }] });

describe('a model for one country', () => {
  it('is not opened by the headers of any proxy', async () => {
    const service = await testService({ engine: createFakeEngine() });
    await publishTiny(service, fakeGraph({ op: 'identity', ...signature }), {
      name: 'acme/local',
      ...signature,
      terms: termsOf({ territories: { permit: ['DE'], deny: [], basis: 'connection' } }),
    });
    const app = createApp(service.services);
    // The second is asked again under another address inside.
    for (const name of ['acme%2Flocal', 'acme/local']) {
      const request = (country?: string) => {
        const headers = { 'CF-IPCountry': 'DE', cf: '{"country":"DE"}', 'X-Country': 'DE' };
        const asked = new Request(`http://edge.test/v2/models/${name}/infer`, {
          method: 'POST',
          headers,
          body,
        });
        return country === undefined ? asked : Object.assign(asked, { cf: { country } });
      };
      const answer = await app.fetch(request());
      expect([answer.status, answer.headers.get('edgewise-error')]).toEqual([451, 'territory_not_allowed']);
      expect((await app.fetch(request('FR'))).status).toBe(451);
    }
    const permitted = Object.assign(
      new Request('http://edge.test/v2/models/acme%2Flocal/infer', { method: 'POST', body }),
      { cf: { country: 'DE' } },
    );
    expect((await app.fetch(permitted)).status).toBe(200);
  });
});
