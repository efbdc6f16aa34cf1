import { describe, expect, it } from 'vitest';
import { type ClientOptions, createTransport, type HttpCall } from '../../src/client/transport.ts';
import { ManualClock } from '../support/clock.ts';

type Step = Response | Error | (() => Promise<Response>);

/** Answers one request after the other from a list, and remembers them. */
function scripted(steps: readonly Step[], options: Partial<ClientOptions> = {}) {
  const requests: { url: string; init: RequestInit }[] = [];
  const waits: number[] = [];
  const clock = new ManualClock();
  const transport = createTransport({
    url: 'https://models.example.com/base/',
    key: 'ew_key',
    clock: {
      now: () => clock.now(),
      after(ms, wake) {
        waits.push(ms);
        queueMicrotask(wake);
        return () => undefined;
      },
    },
    fetch: async (url, init = {}) => {
      const step = steps[requests.length];
      requests.push({ url: String(url), init });
      if (step === undefined) {
        throw new Error('no more answers');
      }
      if (step instanceof Error) {
        throw step;
      }
      return typeof step === 'function' ? step() : step;
    },
    ...options,
  });
  return { transport, requests, waits };
}

const get: HttpCall<string> = {
  method: 'GET',
  path: '/v2',
  retry: 'idempotent',
  read: (response) => response.text(),
};
const busy = (seconds?: string) =>
  Response.json(
    { error: 'queue full' },
    { status: 429, headers: { 'Edgewise-Error': 'overloaded', ...(seconds && { 'Retry-After': seconds }) } },
  );

describe('createTransport()', () => {
  it('sends the key, and keeps the path of the address', async () => {
    const { transport, requests } = scripted([new Response('hello')]);
    expect(await transport.exchange(get)).toBe('hello');
    expect(requests[0]?.url).toBe('https://models.example.com/base/v2');
    expect(requests[0]?.init.headers).toMatchObject({ Authorization: 'Bearer ew_key' });
  });

  it('retries a call at an overloaded server as often as the call allows', async () => {
    const busies = () => Array.from({ length: 7 }, () => busy('1'));
    const patient = scripted([...busies(), new Response('stored')]);
    expect(await patient.transport.exchange({ ...get, attemptsWhenOverloaded: 8 })).toBe('stored');
    expect(patient.waits).toEqual([1000, 1000, 1000, 1000, 1000, 1000, 1000]);
    const broken = scripted(busies().map(() => new Error('cut off')));
    await expect(broken.transport.exchange({ ...get, attemptsWhenOverloaded: 8 })).rejects.toThrow('cut off');
    expect(broken.requests).toHaveLength(3);
    const usual = scripted(busies());
    await expect(usual.transport.exchange(get)).rejects.toThrow('queue full');
    expect(usual.requests).toHaveLength(3);
  });

  it.each<[string, Response, object]>([
    [
      'the code and message that the server names',
      Response.json(
        { error: 'no model x' },
        { status: 404, headers: { 'Edgewise-Error': 'model_not_found' } },
      ),
      { code: 'model_not_found', message: 'no model x' },
    ],
    [
      'a code by status where the server names none',
      Response.json({ error: 'bad shape' }, { status: 400 }),
      { code: 'invalid_request', message: 'bad shape' },
    ],
    [
      'a code by status for a body that is not JSON',
      new Response('<html>', { status: 413 }),
      { code: 'too_large', message: 'GET /v2 was answered with status 413' },
    ],
    [
      'internal for a code that it does not know',
      Response.json({ error: 'x' }, { status: 500, headers: { 'Edgewise-Error': 'rm -rf' } }),
      { code: 'internal', message: 'x' },
    ],
  ])('throws %s', async (_, response, error) => {
    await expect(scripted([response]).transport.exchange(get)).rejects.toMatchObject(error);
  });

  it('retries after Retry-After, else after 200 and 400 ms', async () => {
    const { transport, waits } = scripted([busy('2'), new TypeError('fetch failed'), new Response('now')]);
    expect(await transport.exchange(get)).toBe('now');
    expect(waits).toEqual([2000, 400]);
  });

  it('gives up after three attempts', async () => {
    const { transport, requests } = scripted([busy(), busy(), busy(), new Response('late')]);
    await expect(transport.exchange(get)).rejects.toMatchObject({ code: 'overloaded' });
    expect(requests).toHaveLength(3);
  });

  it('does not wait for a long Retry-After', async () => {
    const { transport, requests } = scripted([busy('60'), new Response('late')]);
    await expect(transport.exchange(get)).rejects.toMatchObject({
      code: 'overloaded',
      retryAfterSeconds: 60,
    });
    expect(requests).toHaveLength(1);
  });

  it('repeats a call that may have been processed only if it is idempotent', async () => {
    for (const [retry, step, attempts] of [
      ['unprocessed', new TypeError('fetch failed'), 1],
      ['unprocessed', busy(), 1],
      ['unprocessed', busy('1'), 2],
      ['never', busy('1'), 1],
      ['idempotent', new TypeError('fetch failed'), 2],
    ] as const) {
      const { transport, requests } = scripted([step, new Response('again')]);
      await transport.exchange({ ...get, method: 'POST', retry }).catch(() => undefined);
      expect(requests.length, `${retry} ${step}`).toBe(attempts);
    }
  });

  it('does not repeat a refusal', async () => {
    const { transport, requests } = scripted([new Response('', { status: 403 }), new Response('x')]);
    await expect(transport.exchange(get)).rejects.toMatchObject({ code: 'forbidden' });
    expect(requests).toHaveLength(1);
  });

  it('repeats a call whose answer broke off', async () => {
    const broken = () =>
      Promise.resolve(
        new Response(
          new ReadableStream({ pull: (controller) => controller.error(new TypeError('terminated')) }),
        ),
      );
    const { transport } = scripted([broken, new Response('whole')]);
    expect(await transport.exchange(get)).toBe('whole');
  });

  it('names the server that cannot be reached, and the reason', async () => {
    const refused = new TypeError('fetch failed', {
      cause: Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
    });
    await expect(scripted([refused, refused, refused]).transport.exchange(get)).rejects.toMatchObject({
      code: 'origin_unavailable',
      message: 'https://models.example.com/base cannot be reached (ECONNREFUSED: connect ECONNREFUSED)',
    });
  });

  it('gives up at once when its caller aborts', async () => {
    const controller = new AbortController();
    const { transport, requests } = scripted([
      () => {
        controller.abort();
        return Promise.reject(new DOMException('aborted', 'AbortError'));
      },
    ]);
    await expect(transport.exchange({ ...get, signal: controller.signal })).rejects.toMatchObject({
      code: 'deadline_exceeded',
    });
    expect(requests).toHaveLength(1);
  });

  it.each(['models.example.com', 'ftp://x', ''])('refuses the address %j', (url) => {
    expect(() => createTransport({ url })).toThrow(/is not the address of a server/);
  });
});
