/** The child process of `push-process.ts`: runs one push. */
import { createPublishEngines } from '../../platform/node-cli.ts';
import { watchEngines } from '../../repository/publish/watched-engines.ts';
import { pushModel } from './push.ts';
import { encodeFailure, type PushMessage, type PushOrder } from './push-process-protocol.ts';

/** `alive` messages are at least this far apart, so that they do not disturb measurements of microseconds. */
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
    send({ kind: 'failure', failure: encodeFailure(error) });
  }
});
// The parent has ended, so nothing waits for the result.
process.once('disconnect', () => process.exit());
send({ kind: 'ready' });
