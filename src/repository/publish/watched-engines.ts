import type { Engine, Session } from '../../engine/types.ts';
import type { PublishEngines } from './types.ts';

/** Returns engines that call `onEnd` after each load, run and optimisation. */
export function watchEngines(engines: PublishEngines, onEnd: () => void): PublishEngines {
  const watch = (engine: Engine): Engine => ({
    name: engine.name,
    version: engine.version,
    memory: () => engine.memory(),
    async createSession(source) {
      const session = await engine.createSession(source);
      onEnd();
      return watchSession(session, onEnd);
    },
  });
  return {
    ...engines,
    native: watch(engines.native),
    origin: watch(engines.origin),
    edge: (memoryCapBytes) => watch(engines.edge(memoryCapBytes)),
    async optimise(...input) {
      const optimised = await engines.optimise(...input);
      onEnd();
      return optimised;
    },
  };
}

function watchSession(session: Session, onEnd: () => void): Session {
  return {
    inputs: session.inputs,
    outputs: session.outputs,
    runtime: session.runtime,
    async run(feeds, fetches) {
      const outputs = await session.run(feeds, fetches);
      onEnd();
      return outputs;
    },
    release: () => session.release(),
  };
}
