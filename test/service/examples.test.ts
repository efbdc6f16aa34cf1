/** The programs in examples/, run as examples/README.md says. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DevServer, root } from '../../scripts/dev-server.ts';
import { publishSamples } from '../../scripts/publish-samples.ts';
import { startService } from '../support/dev-service.ts';

let server: DevServer;
beforeAll(async () => {
  server = await startService();
  await publishSamples(server, ['models/digits', 'models/mlp']);
});
afterAll(() => server.stop());

/** Runs a command line of the README and returns its standard output. */
async function run(line: string): Promise<string> {
  const [file = '', ...args] = line.split(' ');
  const { stdout } = await promisify(execFile)(file, args, {
    cwd: root,
    env: {
      ...process.env,
      EDGEWISE_URL: server.url,
      EDGEWISE_ADMIN_KEY: server.adminKey,
      EDGEWISE_PUBLISHER_KEY: server.publisherKey,
    },
  });
  return stdout;
}

const readme = readFileSync(join(root, 'examples/README.md'), 'utf8');
const commands = [...readme.matchAll(/ \| `([^`]+)` \|$/gm)].map(([, command = '']) => command);

describe('the examples', () => {
  it('are all in the README, with the command that runs them', () => {
    const programs = readdirSync(join(root, 'examples')).filter((name) => name !== 'README.md');
    expect(commands.map((command) => /examples\/(\S+)/.exec(command)?.[1]).sort()).toEqual(programs.sort());
  });

  it('curl.sh prints the headers and the answer', async () => {
    const output = await run('sh examples/curl.sh');
    expect(output).toMatch(/^edgewise-tier: edge\r?$/im);
    expect(output).toContain('"outputs":[{"name":"output","shape":[1,10],"datatype":"FP32","data":[-17.327');
  });

  it('infer.mjs names the digit that was drawn', async () => {
    const [first, ...others] = (await run('node examples/infer.mjs')).trim().split('\n');
    expect(first).toMatch(/^1 {2}0\.[5-9]/);
    expect(others).toHaveLength(3);
    expect(others.at(-1)).toBe('computed at the edge');
  });

  it('infer.py prints both rows of the answer', async () => {
    const rows = (await run('python3 examples/infer.py')).trim().split('\n');
    expect(rows).toHaveLength(2);
    expect(rows[0]).toMatch(/^\[-17\.327, 30\.243, 44\.868, /);
  });

  it('receipt.sh finds signature, log entry, inputs and outputs good', async () => {
    const output = await run('sh examples/receipt.sh');
    for (const level of ['signature', 'inclusion', 'inputs', 'outputs']) {
      expect(output).toMatch(new RegExp(`^${level} +good `, 'm'));
    }
  });

  it('own-model.sh publishes a file that can be called', async () => {
    const output = await run('sh examples/own-model.sh models/digits/1/model.onnx');
    expect(output).toContain('"name":"my-model"');
    const answer = await fetch(`${server.url}/v2/models/my-model/ready`);
    expect(answer.status).toBe(200);
  });
});
