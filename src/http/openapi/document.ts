/**
 * The API's description (OpenAPI 3.1), made from one table of operations. `test/http/openapi.test.ts` holds the table and
 * the app's routes against each other.
 */
import { OpenAPIHono, z } from '@hono/zod-openapi';
import { dataTypeNames } from '../../tensor/datatype.ts';
import type { HttpSettings } from '../settings.ts';
import { accountOperations } from './accounts.ts';
import { adminOperations } from './admin.ts';
import { disputeOperations } from './disputes.ts';
import { licenceOperations, policyOperations } from './governance.ts';
import { logOperations } from './log.ts';
import { anyObject, type Operation } from './operation.ts';
import { receiptOperations } from './receipts.ts';
import { statementOperations } from './statements.ts';
import { subjectOperations } from './subjects.ts';

const tensorData = z
  .array(z.unknown())
  .openapi({ description: 'Row-major elements, flat or nested to match the shape.' });
const parameters = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));
const datatype = z.enum(dataTypeNames);
const shape = z.array(z.int().nonnegative());

const inferRequest = z
  .object({
    id: z.string().optional().openapi({ description: 'Comes back unchanged.' }),
    parameters: parameters.optional(),
    inputs: z.array(
      z.object({
        name: z.string(),
        shape,
        datatype,
        parameters: parameters.optional(),
        data: tensorData.optional(),
      }),
    ),
    outputs: z.array(z.object({ name: z.string(), parameters: parameters.optional() })).optional(),
  })
  .openapi('InferRequest');

const inferResponse = z
  .object({
    model_name: z.string(),
    model_version: z.string(),
    id: z.string().optional(),
    parameters: parameters.optional(),
    outputs: z.array(
      z.object({
        name: z.string(),
        shape,
        datatype,
        parameters: parameters.optional(),
        data: tensorData.optional(),
      }),
    ),
  })
  .openapi('InferResponse');

const tensorMetadata = z.object({ name: z.string(), datatype, shape: z.array(z.int()) });
const serverMetadata = z
  .object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) })
  .openapi('ServerMetadata');
const modelMetadata = z
  .object({
    name: z.string(),
    versions: z.array(z.string()),
    platform: z.string(),
    inputs: z.array(tensorMetadata),
    outputs: z.array(tensorMetadata),
  })
  .openapi('ModelMetadata');
const indexEntry = z.object({
  name: z.string(),
  version: z.string(),
  state: z.enum(['READY', 'UNAVAILABLE']),
  reason: z.string(),
});
const errorBody = z.object({ error: z.string() }).openapi('Error');

/** The same operation with and without a version in its path; what is to be said of both is said once. */
function versioned({ description, ...operation }: Operation): Operation[] {
  const path = operation.path.replace('{name}', '{name}/versions/{version}');
  const summary = `${operation.summary}, by version or alias`;
  return [
    { ...operation, ...(description === undefined ? {} : { description }) },
    { ...operation, path, summary },
  ];
}

export const operations: readonly Operation[] = [
  { method: 'get', path: '/v2/health/live', tag: 'Health', summary: 'Is the server live', answer: anyObject },
  {
    method: 'get',
    path: '/v2/health/ready',
    tag: 'Health',
    summary: 'Is the server ready',
    answer: anyObject,
  },
  { method: 'get', path: '/v2', tag: 'Service', summary: 'Server metadata', answer: serverMetadata },
  { method: 'get', path: '/v2/', tag: 'Service', summary: 'Server metadata', answer: serverMetadata },
  { method: 'get', path: '/v2/models', tag: 'Models', summary: 'Names of the models', answer: anyObject },
  {
    method: 'get',
    path: '/v2/models/stats',
    tag: 'Models',
    summary: 'Statistics of all models',
    answer: anyObject,
  },
  ...versioned({
    method: 'get',
    path: '/v2/models/{name}',
    tag: 'Models',
    summary: 'Model metadata',
    answer: modelMetadata,
  }),
  ...versioned({
    method: 'get',
    path: '/v2/models/{name}/ready',
    tag: 'Models',
    summary: 'Is the model ready',
    answer: anyObject,
  }),
  ...versioned({
    method: 'get',
    path: '/v2/models/{name}/config',
    tag: 'Models',
    summary: 'Model configuration',
    answer: anyObject,
  }),
  ...versioned({
    method: 'get',
    path: '/v2/models/{name}/stats',
    tag: 'Models',
    summary: 'Statistics of a model',
    description: 'Counted in the isolate that answers; another isolate has counts of its own.',
    answer: anyObject,
  }),
  ...versioned({
    method: 'post',
    path: '/v2/models/{name}/infer',
    tag: 'Inference',
    summary: 'Inference',
    description:
      'JSON, or JSON followed by binary tensors when the header Inference-Header-Content-Length gives the length of the JSON part; its value 0 means that the whole body is one raw tensor. Bodies may be gzip or deflate. Where an alias splits its traffic, the header X-Session-Id keeps a caller without a key with one version.',
    body: inferRequest,
    answer: inferResponse,
  }),
  {
    method: 'post',
    path: '/v2/repository/index',
    tag: 'Repository',
    summary: 'Every version of every model and its state',
    body: z.object({ ready: z.boolean().optional() }),
    answer: z.array(indexEntry),
  },
  {
    method: 'post',
    path: '/v2/repository/models/{name}/load',
    tag: 'Repository',
    summary: 'Serve a model again and load it',
    body: z.object({ parameters: z.record(z.string(), z.string()).optional() }),
    answer: anyObject,
    admin: true,
  },
  {
    method: 'post',
    path: '/v2/repository/models/{name}/unload',
    tag: 'Repository',
    summary: 'Stop serving a model',
    body: z.object({ parameters: z.object({ unload_dependents: z.boolean().optional() }).optional() }),
    answer: anyObject,
    admin: true,
  },
  {
    method: 'get',
    path: '/',
    tag: 'Service',
    summary: 'Who answers here and where to read on; sends a browser to the reference page',
    answer: serverMetadata.extend({ links: z.record(z.string(), z.string()) }),
  },
  { method: 'get', path: '/openapi.json', tag: 'Service', summary: 'This description', answer: anyObject },
  { method: 'get', path: '/docs', tag: 'Service', summary: 'Reference page', answer: 'html' },
  ...licenceOperations,
  ...receiptOperations,
  ...disputeOperations,
  ...statementOperations,
  ...logOperations,
  ...adminOperations,
  ...policyOperations,
  ...accountOperations,
  ...subjectOperations,
];

/** The OpenAPI document. */
export function openApiDocument(settings: HttpSettings): object {
  const document = new OpenAPIHono();
  const registry = document.openAPIRegistry;
  const bearer = registry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  for (const operation of operations) {
    registry.registerPath({
      method: operation.method,
      path: operation.path,
      operationId: operationId(operation),
      tags: [operation.tag],
      summary: operation.summary,
      ...(operation.description === undefined ? {} : { description: operation.description }),
      ...(operation.admin ? { security: [{ [bearer.name]: [] }] } : {}),
      request: {
        params: z.object(
          Object.fromEntries(pathParameters(operation.path).map((name) => [name, z.string()])),
        ),
        ...(operation.body === undefined ? {} : { body: { content: contentOf(operation.body) } }),
      },
      responses: {
        200: {
          description: 'Done',
          ...(operation.answer === undefined ? {} : { content: contentOf(operation.answer) }),
        },
        default: {
          description: 'Refused or failed; the header Edgewise-Error holds the code',
          content: { 'application/json': { schema: errorBody } },
        },
      },
    });
  }
  return document.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Edgewise',
      version: settings.serverVersion,
      description: 'Open Inference Protocol v2 over ONNX models that run in the worker.',
      license: { name: 'Apache-2.0' },
    },
  });
}

function contentOf(body: z.ZodType | 'binary' | 'html') {
  if (body === 'binary') {
    return { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } };
  }
  if (body === 'html') {
    return { 'text/html': { schema: z.string() } };
  }
  return { 'application/json': { schema: body } };
}

function pathParameters(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].flatMap((match) => match[1] ?? []);
}

function operationId({ method, path }: Operation): string {
  return `${method}${path
    .replace(/[{}]/g, '')
    .replace(/\/$/, 'Root')
    .replace(/[/.-]+(\w)/g, (_, letter: string) => letter.toUpperCase())}`;
}
