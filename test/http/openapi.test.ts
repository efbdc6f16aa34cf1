import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '../../src/http/app.ts';
import { describeApi } from '../../src/http/openapi/document.ts';
import { type Operation, operationsOf } from '../../src/http/openapi/operations.ts';
import { type TestService, testService } from '../support/services.ts';

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

  it('is served as OpenAPI 3.1 with a schema for each reference and one id for each operation', async () => {
    const answer = await service.fetch('/openapi.json');
    const text = await answer.text();
    const document = JSON.parse(text);
    expect(document.openapi).toBe('3.1.0');
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      expect(document.components.schemas).toHaveProperty(name ?? '');
    }
    const ids = [...text.matchAll(/"operationId":"(\w+)"/g)].map((match) => match[1]);
    expect(ids.length).toBe(operations.length);
    expect(new Set(ids).size).toBe(ids.length);
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
