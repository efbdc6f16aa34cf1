/** Inference over the Open Inference Protocol v2, with binary tensors by default. */

import { z } from 'zod';
import type { Bytes } from '../bytes.ts';
import { encodeInferRequest, parseInferResponse } from '../protocol/oip/infer-client.ts';
import {
  type ModelMetadata,
  parseModelMetadata,
  parseServerMetadata,
  type ServerMetadata,
} from '../protocol/oip/metadata.ts';
import type { RepositoryIndexEntry } from '../protocol/oip/repository.ts';
import { headerLengthName, type InferResponse, type Parameters } from '../protocol/oip/types.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { encodeJsonBody, jsonAnswer } from './json.ts';
import { type ClientOptions, createTransport } from './transport.ts';

export interface ModelRef {
  readonly name: string;
  /** A version or an alias; absent: the model's default version. */
  readonly version?: string;
}

export interface InferOptions {
  readonly id?: string;
  /** Default: all outputs. */
  readonly outputs?: readonly string[];
  readonly parameters?: Parameters;
  /** Default true; false for servers that do not list `binary_tensor_data`. */
  readonly binary?: boolean;
  /** The preferred tier. */
  readonly tier?: 'edge' | 'origin';
  readonly signal?: AbortSignal;
}

export interface InferResult extends InferResponse {
  /** The answer's headers; empty from servers that are not Edgewise. */
  readonly served: {
    readonly tier?: string;
    readonly reason?: string;
    /** `name@version; digest=sha256:…` */
    readonly model?: string;
    readonly requestId?: string;
    readonly serverTiming?: string;
  };
}

const statisticsSchema = z.object({
  model_stats: z.array(
    z.looseObject({
      name: z.string(),
      version: z.string(),
      inference_count: z.number(),
      execution_count: z.number(),
    }),
  ),
});
/** A model's cumulative figures (Triton's statistics extension); members that are not named here stay in it. */
export type ModelStatisticsEntry = z.infer<typeof statisticsSchema>['model_stats'][number];

const indexSchema = z.array(
  z.object({
    name: z.string(),
    version: z.string().default(''),
    state: z.enum(['UNKNOWN', 'READY', 'UNAVAILABLE', 'LOADING', 'UNLOADING']).default('UNKNOWN'),
    reason: z.string().default(''),
  }),
);

/** Every method throws EdgewiseError with the server's code. */
export interface InferenceClient {
  live(): Promise<boolean>;
  ready(): Promise<boolean>;
  modelReady(model: ModelRef): Promise<boolean>;
  serverMetadata(): Promise<ServerMetadata>;
  modelMetadata(model: ModelRef): Promise<ModelMetadata>;
  infer(model: ModelRef, inputs: ReadonlyMap<string, Tensor>, options?: InferOptions): Promise<InferResult>;
  index(options?: { readonly ready?: boolean }): Promise<readonly RepositoryIndexEntry[]>;
  statistics(model?: ModelRef): Promise<readonly ModelStatisticsEntry[]>;
}

function modelPath({ name, version }: ModelRef): string {
  const versioned = version === undefined ? '' : `/versions/${encodeURIComponent(version)}`;
  return `/v2/models/${encodeURIComponent(name)}${versioned}`;
}

export function createInferenceClient(options: ClientOptions): InferenceClient {
  const { exchange } = createTransport(options);

  const get = <T>(path: string, read: (response: Response) => Promise<T>): Promise<T> =>
    exchange({ method: 'GET', path, retry: 'idempotent', read });
  // "Not ready" is a 4xx (the specification) or a 503 (Triton): an answer, not a failure.
  const isHealthy = (path: string): Promise<boolean> =>
    exchange({
      method: 'GET',
      path,
      retry: 'never',
      accept: [400, 503],
      read: async (response) => {
        await response.body?.cancel();
        return response.ok;
      },
    });

  return {
    live: () => isHealthy('/v2/health/live'),
    ready: () => isHealthy('/v2/health/ready'),
    modelReady: (model) => isHealthy(`${modelPath(model)}/ready`),
    serverMetadata: () => get('/v2', async (response) => parseServerMetadata(await readBytes(response))),
    modelMetadata: (model) =>
      get(modelPath(model), async (response) => parseModelMetadata(await readBytes(response))),
    infer: async (model, inputs, request = {}) => {
      const { binary = true, id, outputs, parameters, tier, signal } = request;
      const message = encodeInferRequest({
        id,
        inputs,
        binaryInput: binary,
        binaryOutput: binary,
        outputs: outputs?.map((name) => ({ name, binary })),
        ...(parameters === undefined ? {} : { parameters }),
      });
      return exchange({
        method: 'POST',
        path: `${modelPath(model)}/infer`,
        retry: 'unprocessed',
        signal,
        headers: {
          'Content-Type': message.contentType,
          ...(message.headerLength === undefined ? {} : { [headerLengthName]: message.headerLength }),
          ...(tier === undefined ? {} : { 'Edgewise-Tier': tier }),
        },
        body: message.body,
        read: readInferResult,
      });
    },
    index: ({ ready } = {}) =>
      exchange({
        method: 'POST',
        path: '/v2/repository/index',
        retry: 'idempotent',
        ...encodeJsonBody(ready === undefined ? {} : { ready }),
        read: jsonAnswer(indexSchema),
      }),
    statistics: async (model) => {
      const path = model === undefined ? '/v2/models/stats' : `${modelPath(model)}/stats`;
      return (await get(path, jsonAnswer(statisticsSchema))).model_stats;
    },
  };
}

async function readBytes(response: Response): Promise<Bytes> {
  return new Uint8Array(await response.arrayBuffer());
}

const servedHeaders = {
  tier: 'Edgewise-Tier',
  reason: 'Edgewise-Reason',
  model: 'Edgewise-Model',
  requestId: 'X-Request-Id',
  serverTiming: 'Server-Timing',
} as const;

async function readInferResult(response: Response): Promise<InferResult> {
  const headerLength = response.headers.get(headerLengthName) ?? undefined;
  const answer = parseInferResponse(await readBytes(response), { headerLength });
  const served = Object.entries(servedHeaders).flatMap(([key, header]) => {
    const value = response.headers.get(header);
    return value === null ? [] : [[key, value] as const];
  });
  return { ...answer, served: Object.fromEntries(served) };
}
