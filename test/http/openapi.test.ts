import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '../../src/http/app.ts';
import { describeApi } from '../../src/http/openapi/document.ts';
import { type Operation, operationsOf } from '../../src/http/openapi/operations.ts';
import { adminKey, bearer, type TestService, testService } from '../support/services.ts';

let service: TestService;
let app: ReturnType<typeof createApp>;
let operations: readonly Operation[];
beforeAll(async () => {
  service = await testService();
  app = createApp(service.services);
  operations = operationsOf(describeApi(app, service.services.settings));
});

describe('describeApi()', () => {
  it('describes every route, and no route that is not there', async () => {
    const routes = app.routes
      .filter(({ method, path }) => method !== 'ALL' && path !== '/v2/')
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)(?:\{[^}]*\})?/g, '{$1}')}`);
    // Hono answers HEAD by GET.
    const described = operations
      .filter(({ method }) => method !== 'head')
      .map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    expect(described.length).toBeGreaterThan(70);
    expect(described.sort()).toEqual([...new Set(routes)].sort());
  });

  it('is served as OpenAPI 3.1 with a component for each reference and one id for each operation', async () => {
    const answer = await service.fetch('/openapi.json');
    const text = await answer.text();
    const document = JSON.parse(text);
    expect(document.openapi).toBe('3.1.0');
    const references = [...text.matchAll(/"#\/components\/(\w+)\/([\w-]+)"/g)];
    expect(references.length).toBeGreaterThan(100);
    for (const [, kind = '', name = ''] of references) {
      expect(Object.keys(document.components[kind])).toContain(name);
    }
    const ids = [...text.matchAll(/"operationId":"(\w+)"/g)].map((match) => match[1]);
    expect(ids.length).toBe(operations.length);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('the description of a route', () => {
  it('declares the status, the key that is shown once, its body, its errors, and the key that opens it', async () => {
    const { paths } = describeApi(app, service.services.settings);
    const operation = paths?.['/admin/tenants/{tenant}/keys']?.post;
    expect(operation).toMatchObject({
      operationId: 'createKey',
      security: [{ adminKey: [] }],
      parameters: [{ name: 'tenant', in: 'path', required: true }],
      requestBody: { required: true },
      responses: { 201: { content: { 'application/json': { schema: expect.anything() } } } },
    });
    expect(Object.keys(operation?.responses ?? {})).toEqual(
      expect.arrayContaining(['400', '401', '403', '404', '409', '413', '429', '500', '503']),
    );
    expect(Object.keys(operation?.responses ?? {})).not.toContain('200');
  });

  it('names who may call it, for every operation', () => {
    const { paths } = describeApi(app, service.services.settings);
    const all = Object.values(paths ?? {}).flatMap(({ get, post, put, patch, delete: remove }) =>
      [get, post, put, patch, remove].filter((operation) => operation !== undefined),
    );
    expect(all.length).toBe(operations.length - 1);
    for (const { operationId, security } of all) expect(security, operationId).toBeDefined();
  });
});

describe('a declared route', () => {
  const body = '{"id": 1}';

  it('refuses an unauthenticated caller before it checks the request', async () => {
    expect((await service.fetch('/admin/tenants', { method: 'POST', body })).status).toBe(401);
    expect((await service.fetch('/admin/statements/never')).status).toBe(401);
  });

  it('refuses a request that does not fit its declaration, and names the field', async () => {
    const headers = bearer(adminKey);
    const post = await service.fetch('/admin/tenants', { method: 'POST', body, headers });
    expect([post.status, await post.json()]).toEqual([
      400,
      { error: expect.stringMatching(/^the body is not usable: id is 1; expected a string/) },
    ]);
    const month = await service.fetch('/admin/statements/never', { headers });
    expect([month.status, await month.json()]).toEqual([
      400,
      { error: expect.stringMatching(/^the path is not usable: month is "never"; /) },
    ]);
    const page = await service.fetch('/admin/models?limit=1001', { headers });
    expect([page.status, await page.json()]).toEqual([
      400,
      { error: 'the query is not usable: limit is "1001"; expected a whole number from 1 to 1000' },
    ]);
  });
});

describe('docsPage()', () => {
  it('lists every operation and loads nothing from elsewhere', async () => {
    const page = await (await service.fetch('/docs')).text();
    for (const { path } of operations) {
      expect(page).toContain(`<code>${path}</code>`);
    }
    expect(page).not.toMatch(/<script|<link|src="http|@import/);
  });
});

describe('GET /', () => {
  it('sends a browser to the reference page', async () => {
    const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8';
    const answer = await service.fetch('/', { headers: { accept } });
    expect([answer.status, answer.headers.get('Location')]).toEqual([302, '/docs']);
    expect(answer.headers.get('Vary')).toContain('Accept');
  });

  it.each([undefined, '*/*', 'application/json'])(
    'tells a program that accepts %s where to read on',
    async (accept) => {
      const answer = await service.fetch('/', accept === undefined ? {} : { headers: { accept } });
      const { name, links } = JSON.parse(await answer.text());
      expect([answer.status, name]).toEqual([200, 'edgewise']);
      expect(Object.keys(links)).toEqual(['reference', 'openapi', 'models', 'ready']);
      for (const path of Object.values(links)) {
        expect((await service.fetch(String(path))).status).toBe(200);
      }
    },
  );
});
