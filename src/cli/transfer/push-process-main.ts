/** The process of `push-process.ts`: one push, then its end. */
import { createPublishEngines } from '../../platform/node-cli.ts';
import { watchEngines } from '../../repository/publish/watched-engines.ts';
import { pushModel } from './push.ts';
import { type PushMessage, type PushOrder, sentFailure } from './push-process-protocol.ts';

/** Signs of life come no closer, so that measuring what takes microseconds is not disturbed. */
const aliveEveryMs = 1000;

function send(message: PushMessage): void {
  process.send?.(message);
}

let aliveAtMs = 0;
function tellAlive(): void {
  const nowMs = performance.now();
  if (nowMs - aliveAtMs < aliveEveryMs) return;
  aliveAtMs = nowMs;
  send({ kind: 'alive' });
}

process.once('message', async ({ folder, options }: PushOrder) => {
  try {
    const result = await pushModel(folder, {
      ...options,
      engines: async () => watchEngines(await createPublishEngines(), tellAlive),
      onProgress: (progress) => send({ kind: 'progress', progress }),
    });
    send({ kind: 'result', result });
  } catch (error) {
    send({ kind: 'failure', failure: sentFailure(error) });
  }
});
// Whoever started it has ended: nobody waits for the result.
process.once('disconnect', () => process.exit());
send({ kind: 'ready' });
