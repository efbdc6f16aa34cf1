import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import type { Bytes } from '../bytes.ts';
import { messageOf } from '../errors.ts';
import { fatalOnly, toLoadError } from './ort-errors.ts';

/** Levels of native ONNX Runtime's graph optimiser whose result does not depend on the machine. */
export type NodeOptimisationLevel = 'basic' | 'extended';

/**
 * Returns the model as one `.onnx` file, with constants folded unless `fold` is false, and with nodes fused at `extended`.
 *
 * @throws EdgewiseError `invalid_request` if ONNX Runtime rejects the model.
 */
export async function optimiseWithOrtNode(
  model: Uint8Array,
  level: NodeOptimisationLevel,
  { fold = true }: { readonly fold?: boolean } = {},
): Promise<Bytes> {
  const folder = await mkdtemp(join(tmpdir(), 'edgewise-optimise-'));
  const optimizedModelFilePath = join(folder, 'model.onnx');
  try {
    const session = await InferenceSession.create(model, {
      graphOptimizationLevel: level,
      optimizedModelFilePath,
      logSeverityLevel: fatalOnly,
      executionProviders: ['cpu'],
      // A graph may name files as its weights; none must be found here.
      extra: {
        session: { load_model_format: 'ONNX', model_external_initializers_file_folder_path: folder },
        ...(!fold && { optimization: { disable_specified_optimizers: 'ConstantFolding' } }),
      },
    }).catch((error: unknown) => {
      throw toLoadError({ text: messageOf(error) });
    });
    await session.release();
    const bytes = await readFile(optimizedModelFilePath);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
