import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DevServer } from '../../scripts/dev-server.ts';
import { readSigningKey } from '../../src/cli/signing-key.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { createInferenceClient } from '../../src/client/inference-client.ts';
import { createPublishEngines } from '../../src/platform/node-cli.ts';
import { defaultEdgeCapBytes } from '../../src/repository/publish/edge-form.ts';
import { startService } from '../support/dev-service.ts';
import { backendCases } from './cases.ts';
import { causeOf } from './expected.ts';
import { type CaseServices, runCase } from './run-case.ts';

let service: DevServer;
let services: CaseServices;

beforeAll(async () => {
  const engines = await createPublishEngines();
  // One case sends 12 MB of JSON, more than a worker accepts by default.
  service = await startService({ vars: { EDGEWISE_MAX_JSON_MIB: '16' } });
  services = {
    engine: engines.edge(defaultEdgeCapBytes),
    admin: createAdminClient({ url: service.url, key: service.adminKey }),
    signingKey: await readSigningKey(service.publisherKey),
    inference: createInferenceClient({ url: service.url }),
  };
});
afterAll(() => service.stop());

/** Cases that are listed as failing run too: one that fails as listed counts as skipped, any other outcome is a failure. */
describe.concurrent('the worker', () => {
  it.for(backendCases().map((each) => [each.name, each] as const))('%s', async ([name, each], { skip }) => {
    const outcome = await runCase(each, services);
    const found = outcome.passed ? 'passed' : `${outcome.stage}: ${outcome.reason}`;
    const cause = causeOf(name);
    if (cause === undefined) {
      expect(found).toBe('passed');
      return;
    }
    if (!(outcome.passed && cause.byChance)) {
      expect(found, `listed under "${cause.title}"`).toMatch(cause.fails);
    }
    skip(cause.title);
  });
});
