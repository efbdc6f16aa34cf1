/**
 * The configuration of the origin pool: the JSON of `EDGEWISE_ORIGIN_POOL`, one entry per endpoint. It holds secrets and
 * bindings by name only.
 */
import { z } from 'zod';
import { checkDocument } from '../check-document.ts';
import { EdgewiseError } from '../errors.ts';
import { isModelPattern, matchesModel } from '../repository/name.ts';
import { isJurisdiction } from '../repository/territories.ts';

const maxEndpoints = 64;

const bindingName = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]*$/, 'expected the name of a secret or binding, e.g. ORIGIN_KEY');

/** The jurisdiction of an endpoint or deployment: `eu`. */
export const jurisdictionSchema = z
  .string()
  .refine(
    isJurisdiction,
    'expected "eu", an ISO 3166 country code ("de"), or a longer name in lower-case letters',
  );

/** How the worker authenticates to the endpoint: exactly one of these forms. */
const authSchema = z.union([
  /** A secret, sent as a bearer token. */
  z.strictObject({ bearerSecret: bindingName }),
  /** An mTLS certificate binding: requests go through its `fetch`, which presents the certificate. */
  z.strictObject({ mtlsBinding: bindingName }),
  /** A Workers VPC service binding: requests go through its `fetch` into the private network. */
  z.strictObject({ vpcBinding: bindingName }),
]);

/** `*`, `org/*` or a name, as in `EDGEWISE_OPEN_MODELS`. */
const modelPattern = z.string().refine(isModelPattern, 'expected "*", "org/*" or the name of a model');

const endpointSchema = z.strictObject({
  /** Name of the endpoint in logs and in `/admin/pool`. Default: the host of its url. */
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/, 'expected letters, digits, ".", "_", ":" and "-"')
    .optional(),
  /** Base URL of the endpoint; request paths are appended to its path. */
  url: z.url({ protocol: /^https?$/, error: 'expected an http or https address' }),
  /** `oip`: the Open Inference Protocol v2. `openai`: the OpenAI API, for pass-through. */
  protocol: z.enum(['oip', 'openai']).default('oip'),
  /** The models that it serves. Default: all. */
  models: z.array(modelPattern).min(1).default(['*']),
  /** Our model name → the endpoint's model name, for names that differ. */
  modelNames: z.record(z.string(), z.string().min(1)).default({}),
  /** `same`: request paths name our version number. `default`: they name no version, for servers without versions in paths. */
  versions: z.enum(['same', 'default']).default('same'),
  /** Whether it accepts binary tensors. Default: what its `GET /v2` lists. */
  binary: z.boolean().optional(),
  /** Location shown to operators: `eu-west-1`. */
  region: z.string().min(1).max(64).optional(),
  /** Its jurisdiction: `eu`. A request bound to a jurisdiction goes only to endpoints of that jurisdiction. */
  jurisdiction: jurisdictionSchema.optional(),
  /** Relative share of the requests among equally healthy endpoints. */
  weight: z.number().positive().max(1000).default(1),
  auth: authSchema.optional(),
  /** Timeout of one attempt, to the end of the answer. */
  timeoutMs: z.int().min(10).max(600_000).default(30_000),
});

export interface EndpointConfig extends Omit<z.output<typeof endpointSchema>, 'name'> {
  readonly name: string;
}

export const poolSchema = z
  .array(endpointSchema)
  .max(maxEndpoints, `expected at most ${maxEndpoints} endpoints`);

/**
 * Parses the endpoints of a pool from JSON.
 *
 * @throws EdgewiseError `invalid_request` naming the endpoint, the key, the value and what was expected.
 */
export function parseOriginPool(text: string): readonly EndpointConfig[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw unusable(`${JSON.stringify(text.slice(0, 80))} is not JSON; expected an array of endpoints`, error);
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
      `two endpoints are called ${JSON.stringify(twice.name)}; expected a different "name" for each`,
    );
  return endpoints;
}

function unusable(message: string, cause?: unknown): EdgewiseError {
  return new EdgewiseError('invalid_request', message, { cause });
}

/** Whether the endpoint is configured to serve the model `name`. */
export function servesModel({ models }: EndpointConfig, name: string): boolean {
  return models.some((pattern) => matchesModel(pattern, name));
}
