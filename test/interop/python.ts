/** Python for the interoperability tests: a virtual environment in this checkout with the pinned clients. */
import { join } from 'node:path';
import { root } from '../../scripts/dev-server.ts';
import { ensurePythonEnvironment } from '../../scripts/python-environment.ts';

/** Returns the path of the interpreter; installs the packages if necessary. @throws Error if they cannot be installed. */
export function interopPython(): Promise<string> {
  return ensurePythonEnvironment({
    folder: join(root, '.venv-interop'),
    requirements: join(import.meta.dirname, 'requirements.txt'),
  });
}
