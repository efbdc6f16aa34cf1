/** Connects the configured endpoints of the pool to their secrets and bindings. */
import type { EndpointConfig } from '../routing/endpoint-config.ts';
import type { Endpoint } from '../routing/types.ts';

type Environment = Readonly<Record<string, unknown>>;

interface Fetcher {
  fetch(url: string, init: RequestInit): Promise<Response>;
}

/** @throws Error naming the endpoint, the missing secret or binding, and what was expected. */
export function connectEndpoints(
  configs: readonly EndpointConfig[],
  environment: Environment,
): readonly Endpoint[] {
  return configs.map((config) => ({
    config,
    fetch: fetchOf(config, environment),
    headers: headersOf(config, environment),
  }));
}

function fetchOf(config: EndpointConfig, environment: Environment): Endpoint['fetch'] {
  const { auth } = config;
  if (auth === undefined || 'bearerSecret' in auth) {
    // A plain function call: workerd's fetch throws when called as a method of another object.
    return (url, init) => fetch(url, init);
  }
  const binding = 'mtlsBinding' in auth ? auth.mtlsBinding : auth.vpcBinding;
  const value = environment[binding];
  if (!isFetcher(value)) {
    throw missing(config, `the binding ${binding}`, 'expected a binding that requests can be sent through');
  }
  return (url, init) => value.fetch(url, init);
}

function headersOf({ auth, ...config }: EndpointConfig, environment: Environment): Endpoint['headers'] {
  if (auth === undefined || !('bearerSecret' in auth)) return {};
  const secret = environment[auth.bearerSecret];
  if (typeof secret !== 'string' || !/^[\x21-\x7e]+$/.test(secret)) {
    throw missing(config, `the secret ${auth.bearerSecret}`, 'expected the key as a text without spaces');
  }
  return { Authorization: `Bearer ${secret}` };
}

function missing({ name }: { readonly name: string }, what: string, expected: string): Error {
  return new Error(
    `configuration EDGEWISE_ORIGIN_POOL: endpoint ${JSON.stringify(name)} names ${what}, which is not set: ${expected}`,
  );
}

function isFetcher(value: unknown): value is Fetcher {
  return typeof value === 'object' && value !== null && 'fetch' in value && typeof value.fetch === 'function';
}
