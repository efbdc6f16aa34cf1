/**
 * What a deployment says of its origin pool: the JSON of `EDGEWISE_ORIGIN_POOL`, one entry for each endpoint. Secrets and
 * bindings stand in it by name only.
 */
import { z } from 'zod';
import { checkDocument } from '../check-document.ts';
import { EdgewiseError } from '../errors.ts';
import { isModelPattern, matchesModel } from '../repository/name.ts';
import { isJurisdiction } from '../repository/territories.ts';

const maxEndpoints = 64;

const bindingName = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]*$/, 'wanted the name of a secret or binding, e.g. ORIGIN_KEY');

/** Whose law something stands under: `eu`. */
export const jurisdictionSchema = z
  .string()
  .refine(
    isJurisdiction,
    'wanted "eu", a country as ISO 3166 has it ("de"), or a longer name in lower-case letters',
  );

/** How the worker shows the endpoint who it is. Exactly one of them. */
const authSchema = z.union([
  /** A secret, sent as a bearer token. */
  z.strictObject({ bearerSecret: bindingName }),
  /** An mTLS certificate binding: requests go through its `fetch`, which presents the certificate. */
  z.strictObject({ mtlsBinding: bindingName }),
  /** A Workers VPC service binding: requests go through its `fetch` into the private network. */
  z.strictObject({ vpcBinding: bindingName }),
]);

/** `*`, `org/*` or a name: as `EDGEWISE_OPEN_MODELS`. */
const modelPattern = z.string().refine(isModelPattern, 'wanted "*", "org/*" or the name of a model');

const endpointSchema = z.strictObject({
  /** Names it in logs and in `/admin/pool`. Default: the host of its url. */
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/, 'wanted letters, digits, ".", "_", ":" and "-"')
    .optional(),
  /** Where it is; a path in it is kept. */
  url: z.url({ protocol: /^https?$/, error: 'wanted an http or https address' }),
  /** `oip`: the Open Inference Protocol v2. `openai`: OpenAI's, for pass-through. */
  protocol: z.enum(['oip', 'openai']).default('oip'),
  /** Which models it has. Default: all. */
  models: z.array(modelPattern).min(1).default(['*']),
  /** Our name of a model → the endpoint's, where they differ. */
  modelNames: z.record(z.string(), z.string().min(1)).default({}),
  /** `same`: asks for the version by our number. `default`: asks for none, for servers that have no versions in paths. */
  versions: z.enum(['same', 'default']).default('same'),
  /** Whether it takes binary tensors. Default: what its `GET /v2` lists. */
  binary: z.boolean().optional(),
  /** Where it stands, shown to operators: `eu-west-1`. */
  region: z.string().min(1).max(64).optional(),
  /** Whose law it stands under: `eu`. A request that is bound to one goes to no other. */
  jurisdiction: jurisdictionSchema.optional(),
  /** Its share among equals. */
  weight: z.number().positive().max(1000).default(1),
  auth: authSchema.optional(),
  /** Of one attempt, to the end of the answer. */
  timeoutMs: z.int().min(10).max(600_000).default(30_000),
});

export interface EndpointConfig extends Omit<z.output<typeof endpointSchema>, 'name'> {
  readonly name: string;
}

export const poolSchema = z
  .array(endpointSchema)
  .max(maxEndpoints, `wanted at most ${maxEndpoints} endpoints`);

/**
 * The endpoints of a pool from its JSON.
 *
 * @throws EdgewiseError `invalid_request` naming the endpoint, the key, the value and what was wanted.
 */
export function parseOriginPool(text: string): readonly EndpointConfig[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw unusable(`${JSON.stringify(text.slice(0, 80))} is no JSON, wanted an array of endpoints`, error);
  }
  const checked = checkDocument(poolSchema, document, { whole: 'the whole' });
  if (!checked.success) throw unusable(checked.complaint);
  const endpoints = checked.data.map((endpoint) => ({
    ...endpoint,
    name: endpoint.name ?? new URL(endpoint.url).host,
  }));
  const twice = endpoints.find(({ name }, at) => endpoints.findIndex((other) => other.name === name) !== at);
  if (twice !== undefined)
    throw unusable(
      `two endpoints are called ${JSON.stringify(twice.name)}, wanted a "name" of its own for each`,
    );
  return endpoints;
}

function unusable(message: string, cause?: unknown): EdgewiseError {
  return new EdgewiseError('invalid_request', message, { cause });
}

/** Whether the endpoint has the model `name`, as far as the configuration says. */
export function servesModel({ models }: EndpointConfig, name: string): boolean {
  return models.some((pattern) => matchesModel(pattern, name));
}
