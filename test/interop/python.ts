/** The Python of the interoperability tests: a virtual environment of this checkout with the pinned clients. */
import { join } from 'node:path';
import { root } from '../../scripts/dev-server.ts';
import { ensurePythonEnvironment } from '../../scripts/python-environment.ts';

/** The interpreter. Quick when it is there with the right packages. @throws Error when they cannot be installed. */
export function interopPython(): Promise<string> {
  return ensurePythonEnvironment({
    folder: join(root, '.venv-interop'),
    requirements: join(import.meta.dirname, 'requirements.txt'),
  });
}
