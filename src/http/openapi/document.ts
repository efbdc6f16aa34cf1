/** The description of the API (OpenAPI 3.1), generated from the routes that the app has registered. */
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { AppEnv } from '../context.ts';
import type { HttpSettings } from '../settings.ts';
import { headerComponents } from './headers.ts';
import { errorSchema, refusalComponents } from './responses.ts';

export const adminKey = { adminKey: [] };
export const callerKey = { callerKey: [] };

/** In the order of the reference page. */
export const tags = [
  { name: 'Inference', description: 'Open Inference Protocol v2: inference.' },
  {
    name: 'Models',
    description: 'Open Inference Protocol v2: metadata, configuration, readiness, statistics.',
  },
  { name: 'Repository', description: "Triton's model repository extension." },
  { name: 'Health', description: 'Open Inference Protocol v2: health of the server.' },
  { name: 'Service', description: 'The server and its documentation.' },
  { name: 'Admin', description: 'Publishing and control.' },
  { name: 'Accounts', description: 'Tenants, keys, grants, and requests of data subjects.' },
  { name: 'Licences', description: 'Terms, licence texts, acceptances and the files of models.' },
  { name: 'Receipts', description: 'Receipts, the transparency log, statements and disputes.' },
];

const securitySchemes = {
  adminKey: 'The admin key of the server.',
  callerKey: 'A key or token of a tenant, or a key from the configuration of the server.',
};

export type ApiDocument = ReturnType<OpenAPIHono['getOpenAPI31Document']>;

/** Registers the components that every route refers to. */
export function registerComponents({ openAPIRegistry: registry }: OpenAPIHono<AppEnv>): void {
  registry.register('Error', errorSchema);
  for (const [name, description] of Object.entries(securitySchemes)) {
    registry.registerComponent('securitySchemes', name, { type: 'http', scheme: 'bearer', description });
  }
  for (const { name, header } of headerComponents) registry.registerComponent('headers', name, header);
  for (const { name, response } of refusalComponents) {
    registry.registerComponent('responses', name, response);
  }
}

/** Throws if a route is declared with a schema that OpenAPI cannot express. */
export function describeApi(app: OpenAPIHono<AppEnv>, { serverVersion }: HttpSettings): ApiDocument {
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Edgewise',
      version: serverVersion,
      description: 'Open Inference Protocol v2 over ONNX models that run in the worker.',
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    servers: [{ url: '/' }],
    tags,
  });
}
