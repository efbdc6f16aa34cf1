/** Asks endpoints of the pool whether they are ready, away from any request: for the cron trigger, and where one is in doubt. */
import type { Clock } from '../async/clock.ts';
import { type EndpointCapabilities, readCapabilities } from './capabilities.ts';
import { failure, release, sendToEndpoint } from './endpoint-request.ts';
import { type EndpointStatus, type PoolHealth, poolHealthSchemaId } from './pool-snapshot.ts';
import type { ProbeFinding } from './pooled-endpoint.ts';
import { AttemptError, type Endpoint } from './types.ts';

export interface ProbeOptions {
  readonly clock: Clock;
  /** Of all that one endpoint is asked. */
  readonly timeoutMs: number;
  /** What was found the last time, whose `since` and capabilities hold where nothing new is learned. */
  readonly before?: PoolHealth | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly wallClock?: () => number;
  /** For the log: why an endpoint was found down. */
  readonly onDown?: (down: { readonly endpoint: string; readonly reason: string }) => void;
}

/** Connections of one Worker invocation that may wait for headers (Cloudflare, Workers limits). */
const maxWaiting = 6;

/** Never throws: an endpoint that cannot be asked is down. */
export async function probeEndpoints(
  endpoints: readonly Endpoint[],
  options: ProbeOptions,
): Promise<PoolHealth> {
  const { before, wallClock = Date.now } = options;
  const checkedAt = new Date(wallClock()).toISOString();
  const found = new Map<string, EndpointStatus>();
  const left = [...endpoints];
  const worker = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const { name } = next.config;
      found.set(name, healthOf(await probe(next, options), before?.endpoints[name], checkedAt));
    }
  };
  await Promise.all(Array.from({ length: maxWaiting }, worker));
  return { schema: poolHealthSchemaId, checkedAt, endpoints: Object.fromEntries(found) };
}

interface Finding {
  readonly state: EndpointStatus['state'];
  readonly capabilities?: EndpointCapabilities | undefined;
}

function healthOf(
  { state, capabilities }: Finding,
  before: EndpointStatus | undefined,
  checkedAt: string,
): EndpointStatus {
  const known = capabilities ?? before?.capabilities;
  return {
    state,
    since: before?.state === state ? before.since : checkedAt,
    ...(known === undefined ? undefined : { capabilities: known }),
  };
}

/** Whether the endpoint says that it is ready. Never throws: one that cannot be asked is not. */
export async function probeReadiness(
  endpoint: Endpoint,
  options: Pick<ProbeOptions, 'clock' | 'timeoutMs'>,
): Promise<ProbeFinding> {
  try {
    await within(options, (signal) => checkReady(endpoint, signal));
    return { isReady: true };
  } catch (error) {
    return { isReady: false, reason: reasonOf(error) };
  }
}

async function probe(endpoint: Endpoint, options: ProbeOptions): Promise<Finding> {
  try {
    return await within(options, async (signal) => {
      await checkReady(endpoint, signal);
      return { state: 'up', capabilities: await capabilitiesOf(endpoint, signal) };
    });
  } catch (error) {
    options.onDown?.({ endpoint: endpoint.config.name, reason: reasonOf(error) });
    return { state: 'down' };
  }
}

async function within<T>(
  { clock, timeoutMs }: Pick<ProbeOptions, 'clock' | 'timeoutMs'>,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const cancelTimer = clock.after(timeoutMs, () =>
    controller.abort(new Error(`no answer within ${timeoutMs} ms`)),
  );
  try {
    return await ask(controller.signal);
  } finally {
    cancelTimer();
  }
}

/** By the status alone: the protocol's servers do not agree on a body. @throws AttemptError */
async function checkReady(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
  const path = endpoint.config.protocol === 'oip' ? '/v2/health/ready' : '/v1/models';
  const response = await sendToEndpoint(endpoint, { method: 'GET', path, signal });
  release(response);
  if (!response.ok) throw failure(`answered GET ${path} with status ${response.status}`);
}

/** Undefined where there is nothing to ask, or no answer that can be read: it is ready all the same. */
async function capabilitiesOf(
  endpoint: Endpoint,
  signal: AbortSignal,
): Promise<EndpointCapabilities | undefined> {
  const { protocol, binary } = endpoint.config;
  if (protocol !== 'oip' || binary !== undefined) return undefined;
  try {
    return await readCapabilities(endpoint, signal);
  } catch (error) {
    if (error instanceof AttemptError) return undefined;
    throw error;
  }
}

function reasonOf(error: unknown): string {
  const said = error instanceof AttemptError ? error.error.cause : error;
  return said instanceof Error ? said.message : String(said);
}
