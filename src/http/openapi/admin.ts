/** The operations behind the admin key. */
import { z } from '@hono/zod-openapi';
import { anyObject, type Operation } from './operation.ts';

const modelAdmin = '/admin/models/{name}';

const tier = z.enum(['edge', 'origin']);
const armBody = z.object({ version: z.string(), tier: tier.optional(), percent: z.number() }).openapi('Arm');
const splitBody = z.object({ arms: z.array(armBody) }).openapi('Split');
const shadowFigure = z
  .object({
    model: z.string(),
    alias: z.string(),
    version: z.string(),
    tier: tier.optional(),
    sent: z.int(),
    skipped: z.int(),
    failed: z.int(),
    unlike: z.int().openapi({ description: 'Answers with other outputs, datatypes or shapes.' }),
    compared: z.int(),
    exact: z.int(),
    near: z.int().openapi({ description: 'Within the tolerance of publishing.' }),
    maxDifference: z.number(),
    rows: z.int().openapi({ description: 'Of two-dimensional floating outputs.' }),
    sameTopRows: z.int().openapi({ description: 'Rows whose greatest value is in the same column.' }),
  })
  .openapi('ShadowFigure');

const poolAnswer = z.object({
  endpoints: z.array(
    z.object({
      name: z.string(),
      protocol: z.enum(['oip', 'openai']),
      region: z.string().optional(),
      jurisdiction: z.string().optional(),
      weight: z.number(),
      state: z.enum(['healthy', 'suspect', 'ejected']),
      inFlight: z.int(),
      requests: z.int(),
      failures: z.int(),
      modelFailures: z.int(),
      unclear: z.int(),
      overtaken: z.int(),
      busy: z.int(),
      ejections: z.int(),
      outForMs: z.number(),
      heldForMs: z.number(),
      latencyMs: z.number(),
      p50Ms: z.number().optional(),
      p95Ms: z.number().optional(),
      utilisation: z.number().optional(),
      keptOut: z
        .array(z.object({ model: z.string(), state: z.enum(['suspect', 'ejected']), outForMs: z.number() }))
        .openapi({ description: 'Models that keep failing there. Others are not kept from it.' }),
    }),
  ),
  /** Of the server that answers. */
  engine: z.object({
    isAvailable: z.boolean().openapi({
      description: 'False while a run takes longer than it may, and until the engine is there again.',
    }),
    stops: z.int().openapi({ description: 'How often a run, or a load, ended the engine.' }),
    stopped: z
      .array(
        z.object({
          key: z.string(),
          name: z.string(),
          version: z.string(),
          stops: z.int(),
          isKeptOut: z.boolean(),
        }),
      )
      .openapi({ description: 'The models that did. Loading one lets it in again.' }),
  }),
  /** Absent where there is no pool. */
  budgets: z
    .object({
      requests: z.int(),
      retries: z.int(),
      hedges: z.int(),
      windowMs: z.int(),
      retryLimit: z.int(),
      hedgeLimit: z.int(),
    })
    .optional(),
});

export const adminOperations: readonly Operation[] = [
  { method: 'head', path: '/admin/blobs/{digest}', tag: 'Admin', summary: 'Is a blob stored', admin: true },
  {
    method: 'get',
    path: '/admin/blobs/{digest}',
    tag: 'Admin',
    summary: 'A blob',
    answer: 'binary',
    admin: true,
  },
  {
    method: 'put',
    path: '/admin/blobs/{digest}',
    tag: 'Admin',
    summary: 'Store a blob',
    description: 'At most 16 MiB. The bytes must have the digest. Storing a blob again is harmless.',
    body: 'binary',
    answer: anyObject,
    admin: true,
  },
  {
    method: 'get',
    path: '/admin/models',
    tag: 'Admin',
    summary: 'Index of every model',
    answer: anyObject,
    admin: true,
  },
  {
    method: 'get',
    path: modelAdmin,
    tag: 'Admin',
    summary: 'Index of a model',
    answer: anyObject,
    admin: true,
  },
  {
    method: 'delete',
    path: modelAdmin,
    tag: 'Admin',
    summary: 'Remove a model',
    answer: anyObject,
    admin: true,
  },
  {
    method: 'get',
    path: `${modelAdmin}/versions/{version}`,
    tag: 'Admin',
    summary: 'Manifest of a version',
    answer: anyObject,
    admin: true,
  },
  {
    method: 'put',
    path: `${modelAdmin}/versions/{version}`,
    tag: 'Admin',
    summary: 'Publish a version',
    description:
      'Its blobs must be stored. `signature` is the text of its `model.sig` (OpenSSF Model Signing v1.0), by a publisher who is ' +
      'trusted here: `forbidden` by anybody else, `invalid_request` where it is not of exactly this version. Publishing the same ' +
      'again changes nothing, another one is refused; one that stands without a valid signature is replaced.',
    body: z.object({
      manifest: z.record(z.string(), z.unknown()),
      signature: z.string(),
      aliases: z.array(z.string()).optional(),
      versionPolicy: z.record(z.string(), z.unknown()).optional(),
    }),
    answer: anyObject,
    admin: true,
  },
  {
    method: 'delete',
    path: `${modelAdmin}/versions/{version}`,
    tag: 'Admin',
    summary: 'Remove a version',
    answer: anyObject,
    admin: true,
  },
  {
    method: 'put',
    path: `${modelAdmin}/aliases/{alias}`,
    tag: 'Admin',
    summary: 'Point an alias to a version',
    body: z.object({ version: z.string() }),
    answer: anyObject,
    admin: true,
  },
  {
    method: 'delete',
    path: `${modelAdmin}/aliases/{alias}`,
    tag: 'Admin',
    summary: 'Remove an alias',
    answer: anyObject,
    admin: true,
  },
  {
    method: 'put',
    path: `${modelAdmin}/aliases/{alias}/split`,
    tag: 'Admin',
    summary: 'Split the traffic of an alias',
    description:
      'Between 2 to 8 arms whose percentages add up to 100. A caller stays in its arm. Pointing the alias to another ' +
      'version ends the split.',
    body: splitBody,
    answer: anyObject,
    admin: true,
  },
  {
    method: 'delete',
    path: `${modelAdmin}/aliases/{alias}/split`,
    tag: 'Admin',
    summary: 'Stop splitting the traffic of an alias',
    answer: anyObject,
    admin: true,
  },
  {
    method: 'put',
    path: `${modelAdmin}/aliases/{alias}/shadow`,
    tag: 'Admin',
    summary: "Copy a share of an alias's requests to a version",
    description: 'Copies are sent after the answer and compared with it; the caller notices nothing of them.',
    body: armBody,
    answer: anyObject,
    admin: true,
  },
  {
    method: 'delete',
    path: `${modelAdmin}/aliases/{alias}/shadow`,
    tag: 'Admin',
    summary: "Stop copying an alias's requests",
    answer: anyObject,
    admin: true,
  },
  {
    method: 'get',
    path: `${modelAdmin}/shadows`,
    tag: 'Admin',
    summary: 'What copies of requests showed',
    description: 'Since the isolate that answers began.',
    answer: z.object({ shadows: z.array(shadowFigure) }),
    admin: true,
  },
  {
    method: 'put',
    path: `${modelAdmin}/version-policy`,
    tag: 'Admin',
    summary: 'Choose which versions are served',
    body: anyObject,
    answer: anyObject,
    admin: true,
  },
  {
    method: 'get',
    path: '/admin/pool',
    tag: 'Admin',
    summary: 'The endpoints of the origin pool',
    description:
      'As the isolate that answers knows them, since it began: state, requests in flight, latencies, ejections, and what is left of the budgets for retries and hedges; and the models that ended the engine of this server.',
    answer: poolAnswer,
    admin: true,
  },
];
