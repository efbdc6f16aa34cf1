import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { toLoadError } from './ort-errors.ts';

/** Native ONNX Runtime's graph optimiser: levels whose result does not depend on the machine. */
export type NodeOptimisationLevel = 'basic' | 'extended';

const fatalOnly = 4;

/**
 * The model with constants folded, unless `fold` is false, and, at `extended`, nodes fused, as one `.onnx` file.
 *
 * @throws EdgewiseError `invalid_request` when ONNX Runtime refuses the model.
 */
export async function optimiseWithOrtNode(
  model: Uint8Array,
  level: NodeOptimisationLevel,
  { fold = true }: { readonly fold?: boolean } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await mkdtemp(join(tmpdir(), 'edgewise-optimise-'));
  const optimizedModelFilePath = join(folder, 'model.onnx');
  try {
    const session = await InferenceSession.create(model, {
      graphOptimizationLevel: level,
      optimizedModelFilePath,
      logSeverityLevel: fatalOnly,
      executionProviders: ['cpu'],
      // A graph may name files as its weights; here none may be found.
      extra: {
        session: { load_model_format: 'ONNX', model_external_initializers_file_folder_path: folder },
        ...(!fold && { optimization: { disable_specified_optimizers: 'ConstantFolding' } }),
      },
    }).catch((error: unknown) => {
      throw toLoadError({ text: error instanceof Error ? error.message : String(error) });
    });
    await session.release();
    const bytes = await readFile(optimizedModelFilePath);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
