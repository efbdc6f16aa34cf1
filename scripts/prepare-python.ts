/**
 * Installs the Python environments of `npm run test:interop`, `npm run test:servers` and `npm run test:api`, and the tools
 * of the latter, and makes the large model in advance.
 *
 *   node scripts/prepare-python.ts
 */
import { apiNodeModules, apiPython } from '../test/api/tools.ts';
import { interopPython } from '../test/interop/python.ts';
import { serverPython } from '../test/servers/servers.ts';
import { fetchLargeModel } from './fetch-large-model.ts';

await Promise.all([
  interopPython(),
  apiPython(),
  apiNodeModules(),
  serverPython('triton'),
  serverPython('mlserver'),
  serverPython('ray'),
  fetchLargeModel(),
]);
