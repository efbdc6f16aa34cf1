/**
 * The capabilities of each endpoint, as its `GET /v2` lists them. Only plain data is kept between requests, no promise: on
 * Cloudflare the promise of a request that has ended may never settle.
 */
import { z } from 'zod';
import type { Clock } from '../async/clock.ts';
import { isEdgewiseError } from '../errors.ts';
import { parseAnswerBody } from '../protocol/oip/envelope.ts';
import type { Defer } from '../storage/types.ts';
import { failure, readAnswer, release, sendToEndpoint } from './endpoint-request.ts';
import type { Endpoint } from './types.ts';

/** The server's own texts are cut to a maximum length: they are only displayed. */
export const capabilitiesSchema = z.object({
  /** Whether it accepts and returns tensors as binary blocks. */
  binary: z.boolean(),
  /** Whether it accepts tensors without dimensions. Default: true. */
  scalars: z.boolean().optional(),
  /** `triton 2.51.0`. Absent if it was not asked, or does not say. */
  server: z.string().max(160).optional(),
});
export type EndpointCapabilities = z.output<typeof capabilitiesSchema>;

export interface CapabilitiesOptions {
  readonly clock: Clock;
  /** Keeps the renewal alive after the answer. */
  readonly defer: Defer;
  /** Time after which capabilities are read again. Default 10 minutes. */
  readonly maxAgeMs?: number;
}

interface Known {
  readonly capabilities: EndpointCapabilities;
  /** Time after which they are read again. */
  readonly staleAtMs: number;
}

const tenMinutesMs = 600_000;
/** A renewal that has not ended after this time has failed, or died with its request. */
const renewalMs = 10_000;
const maxMetadataBytes = 64 * 1024;

export class Capabilities {
  readonly #known = new Map<string, Known>();
  readonly #clock: Clock;
  readonly #defer: Defer;
  readonly #maxAgeMs: number;

  constructor(options: CapabilitiesOptions) {
    this.#clock = options.clock;
    this.#defer = options.defer;
    this.#maxAgeMs = options.maxAgeMs ?? tenMinutesMs;
  }

  /**
   * Returns the endpoint's capabilities: from its configuration, else from its own answer, which is requested if it is not
   * known. Known but stale capabilities are returned, and read again in the background.
   *
   * @throws AttemptError `failure` if the endpoint cannot be reached, or its answer cannot be read.
   */
  of(endpoint: Endpoint, signal: AbortSignal): EndpointCapabilities | Promise<EndpointCapabilities> {
    const { binary, name } = endpoint.config;
    if (binary !== undefined) return { binary };
    const known = this.#known.get(name);
    if (known === undefined) return this.#read(endpoint, signal);
    if (known.staleAtMs <= this.#clock.now()) this.#renew(endpoint, known);
    return known.capabilities;
  }

  /** Takes over stored capabilities of the endpoint `name` if none are known yet. They are read again at first use. */
  seed(name: string, capabilities: EndpointCapabilities): void {
    if (this.#known.has(name)) return;
    this.#known.set(name, { capabilities, staleAtMs: this.#clock.now() });
  }

  async #read(endpoint: Endpoint, signal: AbortSignal): Promise<EndpointCapabilities> {
    const capabilities = await readCapabilities(endpoint, signal);
    this.#known.set(endpoint.config.name, { capabilities, staleAtMs: this.#clock.now() + this.#maxAgeMs });
    return capabilities;
  }

  #renew(endpoint: Endpoint, { capabilities }: Known): void {
    // The next renewal is due only when this one must have ended, so there is one at a time.
    this.#known.set(endpoint.config.name, { capabilities, staleAtMs: this.#clock.now() + renewalMs });
    const controller = new AbortController();
    const cancelTimer = this.#clock.after(renewalMs, () => controller.abort());
    this.#defer(
      this.#read(endpoint, controller.signal)
        // The known capabilities stay in use; requests find out for themselves that an endpoint is gone.
        .catch(() => undefined)
        .finally(cancelTimer),
    );
  }
}

/** The specification requires all three; OpenVINO's server omits `extensions`. */
const metadataSchema = z.object({
  name: z.string().optional(),
  version: z.string().optional(),
  extensions: z.array(z.string()).default([]),
});

/** Statuses of a server without the route `GET /v2`. */
const noRoute = new Set([404, 405, 501]);

/**
 * Reads the capabilities from the endpoint. A server without the route accepts JSON only.
 *
 * @throws AttemptError `failure`
 */
export async function readCapabilities(
  endpoint: Endpoint,
  signal: AbortSignal,
): Promise<EndpointCapabilities> {
  const response = await sendToEndpoint(endpoint, { method: 'GET', path: '/v2', signal });
  if (!response.ok) {
    release(response);
    if (noRoute.has(response.status)) return { binary: false };
    throw failure(`answered GET /v2 with status ${response.status}; expected its metadata`);
  }
  const body = await readAnswer(response, maxMetadataBytes, signal, 'failure');
  if (body === undefined) throw failure(`answered GET /v2 with more than ${maxMetadataBytes} bytes`);
  return fromMetadata(body);
}

function fromMetadata(body: Uint8Array): EndpointCapabilities {
  try {
    const { name, version, extensions } = parseAnswerBody(body, metadataSchema, 'its answer to GET /v2');
    const server = [name, version].filter((part) => part !== undefined && part !== '').join(' ');
    return {
      binary: extensions.includes('binary_tensor_data'),
      ...(name === 'triton' ? { scalars: false } : undefined),
      ...(server === '' ? undefined : { server: server.slice(0, 160) }),
    };
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    throw failure(error.message, error);
  }
}
