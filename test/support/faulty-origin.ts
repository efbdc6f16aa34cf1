/**
 * The origin (`src/node.ts`) with a simulated GPU run time and switchable faults in front of it.
 * A process of its own, controlled over its IPC channel: `faulty-origins.ts` starts it.
 */
import { createApp } from '../../src/http/app.ts';
import { createOrigin, processMemoryBytes } from '../../src/platform/node.ts';
import { readNodeConfig } from '../../src/platform/node-config.ts';
import { listen } from '../../src/platform/node-server.ts';

/**
 * `slow`: runs take ten times as long. `error`: 500 at once. `hang`: accepts the request and never answers. `stutter`: one
 * run in fifty takes ten times as long.
 */
export type Fault = 'none' | 'slow' | 'error' | 'hang' | 'stutter';

export type Command = { readonly fault: Fault } | { readonly report: true };

export type Message = { readonly listening: string } | Received;

/** Inferences since the start. */
export interface Received {
  readonly received: number;
  /** Inferences whose client was gone before the run began, mostly losers of a hedge. */
  readonly leftEarly: number;
}

const config = readNodeConfig(process.env, processMemoryBytes());
/** Median time of a run in milliseconds; times vary like those of a busy server (log-normal). */
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
// The parent process is gone.
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

/** Returns a normally distributed number (Box–Muller). */
function standardNormal(): number {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
