/**
 * The origin (`src/node.ts`) with two things in front of it: the time that a run takes on a GPU, and a switch for faults.
 * A process of its own, told over its IPC channel what to do: `faulty-origins.ts` starts it.
 */
import { createApp } from '../../src/http/app.ts';
import { createOrigin, processMemoryBytes } from '../../src/platform/node.ts';
import { readNodeConfig } from '../../src/platform/node-config.ts';
import { listen } from '../../src/platform/node-server.ts';

/**
 * `slow`: ten times the time of a run. `error`: 500, at once. `hang`: takes the request, never answers. `stutter`: one
 * run in fifty takes ten times its time.
 */
export type Fault = 'none' | 'slow' | 'error' | 'hang' | 'stutter';

export type Command = { readonly fault: Fault } | { readonly report: true };

export type Message = { readonly listening: string } | Received;

/** Inferences since the start. */
export interface Received {
  readonly received: number;
  /** Of them those whose client was gone before the run began: losers of a hedge, above all. */
  readonly leftEarly: number;
}

const config = readNodeConfig(process.env, processMemoryBytes());
/** Median of a run, in milliseconds; its times spread as those of a busy server do (log-normal). */
const serviceMs = Number(process.env['FAULTY_ORIGIN_SERVICE_MS'] ?? 0);
const spread = 0.3;
const slowdown = 10;

let fault: Fault = 'none';
let received = 0;
let leftEarly = 0;

const { services, start } = createOrigin(config);
const app = createApp(services);
const server = await listen(answer, config);
await start();

process.on('message', (command: Command) => {
  if ('fault' in command) fault = command.fault;
  else tell({ received, leftEarly });
});
// Whoever started it is gone.
process.once('disconnect', () => process.exit(0));
tell({ listening: server.url });

function tell(message: Message): void {
  process.send?.(message);
}

async function answer(request: Request): Promise<Response> {
  const isInference = request.method === 'POST';
  if (isInference) received += 1;
  if (fault === 'hang') return new Promise<never>(() => undefined);
  if (fault === 'error') return new Response('{"error":"out of order"}', { status: 500 });
  if (isInference && serviceMs > 0) {
    await new Promise((resolve) => setTimeout(resolve, runMs()));
    if (request.signal.aborted) {
      leftEarly += 1;
      return new Response(null, { status: 499 });
    }
  }
  return app.fetch(request);
}

function runMs(): number {
  const isSlow = fault === 'slow' || (fault === 'stutter' && Math.random() < 0.02);
  return serviceMs * Math.exp(spread * standardNormal()) * (isSlow ? slowdown : 1);
}

/** Box and Muller. */
function standardNormal(): number {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
