/** Entry of the origin: the same service on Node, on a machine with a GPU. Configured by the environment: docs/configuration.md. */
import { createApp } from './http/app.ts';
import { createOrigin, processMemoryBytes } from './platform/node.ts';
import { readNodeConfig } from './platform/node-config.ts';
import { drainOnSignal } from './platform/node-drain.ts';
import { listen } from './platform/node-server.ts';

try {
  const config = readNodeConfig(process.env, processMemoryBytes());
  const { services, start } = createOrigin(config);
  const app = createApp(services);
  const server = await listen((request) => app.fetch(request), config);
  const { lifecycle, logger } = services;
  if (lifecycle !== undefined) drainOnSignal({ ...config, lifecycle, logger, server });
  console.log(JSON.stringify({ level: 'info', event: 'listening', url: server.url }));
  await start();
} catch (error) {
  console.error(`edgewise origin: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
