/**
 * A minimal Worker that forwards requests. `/buffered/…` reads the body first, as a retry requires; `/streamed/…` passes it
 * through. Its cost is workerd's own share of a hop.
 */
interface Bindings {
  readonly ORIGIN: string;
  readonly ORIGIN_KEY: string;
}

const passedHeaders = ['content-type', 'inference-header-content-length'];

export default {
  async fetch(request, { ORIGIN, ORIGIN_KEY }) {
    const { pathname } = new URL(request.url);
    const [, mode, path] = /^\/(buffered|streamed)(\/.*)$/.exec(pathname) ?? [];
    const headers = new Headers({ Authorization: `Bearer ${ORIGIN_KEY}` });
    for (const name of passedHeaders) {
      const value = request.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    const body = mode === 'buffered' ? await request.arrayBuffer() : request.body;
    const answer = await fetch(`${ORIGIN}${path}`, { method: 'POST', headers, body });
    return mode === 'buffered' ? new Response(await answer.arrayBuffer(), answer) : answer;
  },
} satisfies ExportedHandler<Bindings>;
