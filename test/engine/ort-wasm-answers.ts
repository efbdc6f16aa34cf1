/** Answers of sessions to fixed inputs, for the suites of `ort-wasm`. */
import type { Engine, ModelSource, Session } from '../../src/engine/types.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { feeds, fp32, int64 } from './contract.ts';

export const mebibyte = 1024 * 1024;
export const width = 64;
const x = fp32(
  [1, width],
  Array.from({ length: width }, (_, index) => Math.sin(index)),
);

export async function answer(session: Session): Promise<Tensor | undefined> {
  return (await session.run(feeds({ x }))).get('y');
}

/** Loads the model, runs it once and releases it. */
export async function answerOf(engine: Engine, model: ModelSource): Promise<Tensor | undefined> {
  const session = await engine.createSession(model);
  const y = await answer(session);
  await session.release();
  return y;
}

export async function sum(session: Session, size: bigint): Promise<Tensor | undefined> {
  return (await session.run(feeds({ size: int64([1], [size]) }))).get('sum');
}
