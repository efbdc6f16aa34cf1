/**
 * Installs the Python environments of `npm run test:interop` and `npm run test:servers` and makes the large model in
 * advance.
 *
 *   node scripts/prepare-python.ts
 */
import { interopPython } from '../test/interop/python.ts';
import { serverPython } from '../test/servers/servers.ts';
import { fetchLargeModel } from './fetch-large-model.ts';

await Promise.all([
  interopPython(),
  serverPython('triton'),
  serverPython('mlserver'),
  serverPython('ray'),
  fetchLargeModel(),
]);
