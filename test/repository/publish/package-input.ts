/** What tests of publishing share: a package input for a model, and engines whose runs are changed. */
import { readFileSync } from 'node:fs';
import type { Engine, Feeds, Fetches, Session } from '../../../src/engine/types.ts';
import { modelConfigSchema } from '../../../src/repository/config-schema.ts';
import { encodeModel, type ModelProto } from '../../../src/repository/onnx/proto.ts';
import type { PackageInput, SampleFile } from '../../../src/repository/publish/types.ts';
import { bytesSource } from '../../support/bytes-source.ts';
import { licenceBytes, openSourceTerms } from '../../support/terms.ts';

/** @param source A model, or the path of its file. */
export function packageInput(
  source: ModelProto | string,
  config: Record<string, unknown> = {},
  samples: readonly SampleFile[] = [],
): PackageInput {
  const bytes = typeof source === 'string' ? new Uint8Array(readFileSync(source)) : encodeModel(source);
  return {
    config: modelConfigSchema.parse({
      name: 'test/model',
      description: 'd',
      terms: openSourceTerms,
      ...config,
    }),
    version: '3',
    model: bytesSource(bytes),
    labels: {},
    licenceText: licenceBytes,
    samples,
  };
}

/** Returns the engine with `run` in place of the runs of its sessions. */
export function replaceRuns(
  engine: Engine,
  run: (feeds: Feeds, session: Session) => Promise<Fetches>,
): Engine {
  return {
    ...engine,
    memory: () => engine.memory(),
    async createSession(source) {
      const session = await engine.createSession(source);
      return {
        inputs: session.inputs,
        outputs: session.outputs,
        runtime: session.runtime,
        release: () => session.release(),
        run: (feeds) => run(feeds, session),
      };
    },
  };
}
