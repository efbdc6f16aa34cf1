/** Probes whether endpoints of the pool are ready, independently of any request: for the cron trigger, and for an endpoint in doubt. */
import type { Clock } from '../async/clock.ts';
import { type EndpointCapabilities, readCapabilities } from './capabilities.ts';
import { failure, release, sendToEndpoint } from './endpoint-request.ts';
import { type EndpointStatus, type PoolHealth, poolHealthSchemaId } from './pool-health.ts';
import type { ProbeFinding } from './pooled-endpoint.ts';
import { AttemptError, type Endpoint } from './types.ts';

export interface ProbeOptions {
  readonly clock: Clock;
  /** Time for all requests of one probe. */
  readonly timeoutMs: number;
  /** The previous results, whose `since` and capabilities are kept if nothing new is learned. */
  readonly before?: PoolHealth | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly wallClock?: () => number;
  /** Called for each endpoint that is down, for the log. */
  readonly onDown?: (down: { readonly endpoint: string; readonly reason: string }) => void;
}

/** Connections of one Worker invocation that may wait for headers at once (Cloudflare, Workers limits). */
const maxWaiting = 6;

/** Probes all endpoints. Never throws: an endpoint that cannot be reached is down. */
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
      found.set(name, statusAfter(await probe(next, options), before?.endpoints[name], checkedAt));
    }
  };
  await Promise.all(Array.from({ length: maxWaiting }, worker));
  return { schema: poolHealthSchemaId, checkedAt, endpoints: Object.fromEntries(found) };
}

interface ProbeOutcome {
  readonly state: EndpointStatus['state'];
  readonly capabilities?: EndpointCapabilities | undefined;
}

function statusAfter(
  { state, capabilities }: ProbeOutcome,
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

/** Probes whether the endpoint says that it is ready. Never throws: an endpoint that cannot be reached is not ready. */
export async function probeReadiness(
  endpoint: Endpoint,
  options: Pick<ProbeOptions, 'clock' | 'timeoutMs'>,
): Promise<ProbeFinding> {
  try {
    await withTimeout(options, (signal) => checkReady(endpoint, signal));
    return { isReady: true };
  } catch (error) {
    return { isReady: false, reason: reasonOf(error) };
  }
}

async function probe(endpoint: Endpoint, options: ProbeOptions): Promise<ProbeOutcome> {
  try {
    return await withTimeout(options, async (signal) => {
      await checkReady(endpoint, signal);
      return { state: 'up', capabilities: await capabilitiesOf(endpoint, signal) };
    });
  } catch (error) {
    options.onDown?.({ endpoint: endpoint.config.name, reason: reasonOf(error) });
    return { state: 'down' };
  }
}

async function withTimeout<T>(
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

/** Checks readiness by the status alone, because servers do not agree on a body. @throws AttemptError if it is not ready. */
async function checkReady(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
  const path = endpoint.config.protocol === 'oip' ? '/v2/health/ready' : '/v1/models';
  const response = await sendToEndpoint(endpoint, { method: 'GET', path, signal });
  release(response);
  if (!response.ok) throw failure(`answered GET ${path} with status ${response.status}`);
}

/** Reads the capabilities; undefined if there is nothing to read or the answer is unreadable. The endpoint is ready regardless. */
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
  if (error instanceof AttemptError) return error.reason;
  return error instanceof Error ? error.message : String(error);
}
