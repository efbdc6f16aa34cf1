/** Keys and signatures on the command line: keygen, push, pull and verify. */
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generatePublisherKey } from '../../src/cli/signing-key.ts';
import { openVersion } from '../../src/cli/transfer/download.ts';
import { pullModel } from '../../src/cli/transfer/pull.ts';
import { pushModel } from '../../src/cli/transfer/push.ts';
import { verifyFolder } from '../../src/cli/transfer/verify-folder.ts';
import { createAdminClient } from '../../src/client/admin-client.ts';
import { splitModel, weightBytes } from '../../src/repository/onnx/split.ts';
import { parsePublicKey, publicKeyPem } from '../../src/repository/signing/public-key.ts';
import { trustPublishers } from '../../src/repository/signing/publishers.ts';
import { digestOf } from '../../src/storage/digest.ts';
import { verifyReads } from '../../src/storage/tiered.ts';
import { deepMatMul } from '../repository/onnx/models.ts';
import { memoryBlobStore, memoryStateStore } from '../support/memory-stores.ts';
import { publisherKey, publishers, signManifest } from '../support/publisher.ts';
import { licenceBytes, licenceDigest } from '../support/terms.ts';
import { tinyManifest } from '../support/tiny-model.ts';
import { runEdgewise } from './command-line.ts';
import { adminKey, startTestServer, type TestServer } from './server.ts';

let server: TestServer;
let folder: string;
const client = () => createAdminClient({ url: server.url, key: adminKey });
const edgewise = (...args: readonly string[]) => runEdgewise(server, ...args);
const trusted = trustPublishers(publishers);

/** Published with graph, weights and licence as they are; `digest` may say something else of the weights. */
async function publish(name: string, digest?: `sha256:${string}`): Promise<void> {
  const { graph, weights } = await splitModel(deepMatMul(64, 1));
  if (weights === undefined) throw new Error('expected weights');
  const whole = await weightBytes(weights);
  const chunks = await Promise.all(
    weights.pieces.map(async ({ offset, byteLength, read }) => {
      const bytes = await read();
      return { digest: await digestOf(bytes), offset, byteLength, bytes };
    }),
  );
  for (const bytes of [graph, licenceBytes]) await client().putBlob(await digestOf(bytes), bytes);
  for (const chunk of chunks) await client().putBlob(chunk.digest, chunk.bytes);
  const spec = (tensor: string) => ({ name: tensor, datatype: 'FP32' as const, shape: [1, 64] });
  const manifest = await tinyManifest(graph, {
    name,
    inputs: [spec('h0')],
    outputs: [spec('h1')],
    weights: {
      path: weights.path,
      digest: digest ?? (await digestOf(whole)),
      byteLength: whole.byteLength,
      chunks: chunks.map(({ bytes: _, ...chunk }) => chunk),
    },
  });
  await client().publishVersion(manifest, await signManifest(manifest));
}

beforeAll(async () => {
  server = await startTestServer();
  folder = mkdtempSync(join(tmpdir(), 'edgewise-signature-'));
  await publish('signed');
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

describe('edgewise publisher keygen', { timeout: 60_000 }, () => {
  it('writes a private key for its owner only, its public key and the setting for servers, and overwrites no key', async () => {
    const out = join(folder, 'keys', 'acme.pem');
    const { code, stdout } = await edgewise(
      'publisher',
      'keygen',
      '--out',
      out,
      '--name',
      'acme',
      '--curve',
      'P-256',
      '--json',
    );
    expect(code).toBe(0);
    const made = JSON.parse(stdout);
    expect(statSync(out).mode & 0o777).toBe(0o600);
    const publicPem = readFileSync(join(folder, 'keys', 'acme.pub.pem'), 'utf8');
    expect(parsePublicKey(publicPem).curve).toBe('P-256');
    expect(JSON.parse(made.trusted)).toEqual([{ name: 'acme', key: publicPem }]);
    const again = await edgewise('publisher', 'keygen', '--out', out);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringMatching(/exists already/) });
    expect(readFileSync(join(folder, 'keys', 'acme.pub.pem'), 'utf8')).toBe(publicPem);

    const refused = await edgewise('model', 'push', 'models/mlp', '--origin', '--key', out);
    expect(refused.stderr).toMatch(
      /mlp@1 cannot be published: it is signed with the key [0-9a-f]{64}, expected one that EDGEWISE_TRUSTED_PUBLISHERS names\n {2}code: forbidden/,
    );
    await expect(client().model('mlp')).rejects.toMatchObject({ code: 'model_not_found' });
  });
});

describe('pushModel()', { timeout: 60_000 }, () => {
  it('signs a version again whose publisher is not trusted any more', async () => {
    const stores = {
      state: memoryStateStore(),
      durable: verifyReads(memoryBlobStore({ maxBytes: 64 * 1024 * 1024 }), { defer: () => undefined }),
    };
    const acme = generatePublisherKey('P-384');
    const trust = JSON.stringify([{ name: 'acme', key: publicKeyPem(acme.publicKey) }]);
    const before = await startTestServer(stores);
    const after = await startTestServer({
      ...stores,
      variables: { EDGEWISE_TRUSTED_PUBLISHERS: trust },
    });
    try {
      const push = ({ url }: TestServer, key: string) =>
        pushModel('models/mlp', { url, adminKey, publisherKey: key, originOnly: true, aliases: ['stable'] });
      expect(await push(before, publisherKey)).toMatchObject({ status: 'created' });
      await expect(push(before, acme.privatePem)).resolves.toMatchObject({ status: 'unchanged' });
      const resolve = () => after.service.services.repository.resolve('mlp');
      await expect((async () => resolve())()).rejects.toMatchObject({ code: 'signature_invalid' });
      await expect(push(after, publisherKey)).rejects.toMatchObject({ code: 'forbidden' });
      expect(await push(after, acme.privatePem)).toMatchObject({ status: 'replaced', uploadedBlobs: 0 });
      expect(await resolve()).toMatchObject({
        signed: { signer: 'acme' },
        index: { aliases: { stable: '1' } },
      });
      expect(await push(after, acme.privatePem)).toMatchObject({ status: 'unchanged' });
    } finally {
      await Promise.all([before.close(), after.close()]);
    }
  });
});

describe('verifyFolder()', { timeout: 60_000 }, () => {
  const copies = { count: 0 };

  async function pulled(): Promise<string> {
    copies.count += 1;
    const out = join(folder, `copy-${copies.count}`);
    await pullModel(client(), 'signed', '1', { out, publishers: trusted });
    return out;
  }

  it('accepts a pulled folder, also with the files of Git', async () => {
    const out = await pulled();
    mkdirSync(join(out, '.git'));
    writeFileSync(join(out, '.git', 'HEAD'), 'ref: refs/heads/main\n');
    writeFileSync(join(out, '.gitattributes'), '*.bin binary\n');
    const { files, signer, manifest } = await verifyFolder(out, trusted);
    expect(files.toSorted()).toEqual(['LICENSE', 'manifest.json', 'model.onnx', 'weights.bin']);
    expect([signer.name, manifest.name]).toEqual(['tests', 'signed']);
    const stored = await server.service.services.repository.resolve('signed');
    expect((await verifyFolder(out, trusted)).root).toBe(stored.signed.root);
  });

  it.each<[string, (out: string) => void, RegExp]>([
    [
      'a changed graph',
      (out) => appendFileSync(join(out, 'model.onnx'), 'x'),
      /model.onnx has the digest sha256/,
    ],
    [
      'changed weights',
      (out) => appendFileSync(join(out, 'weights.bin'), 'x'),
      /weights.bin has the digest sha256/,
    ],
    [
      'a changed licence',
      (out) => writeFileSync(join(out, 'LICENSE'), 'Do as you like.'),
      /LICENSE has the digest sha256/,
    ],
    [
      'a manifest that says the same in other words',
      (out) => {
        const file = join(out, 'manifest.json');
        writeFileSync(file, JSON.stringify(JSON.parse(readFileSync(file, 'utf8')), null, 2));
      },
      /manifest.json has the digest sha256/,
    ],
    [
      'a manifest that says something else',
      (out) => {
        const file = join(out, 'manifest.json');
        writeFileSync(
          file,
          JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), description: 'better' }),
        );
      },
      /covers other files: "manifest.json"/,
    ],
    ['a file more', (out) => writeFileSync(join(out, 'evil.so'), ''), /"evil.so" is not signed/],
    [
      'a file more in a folder',
      (out) => {
        mkdirSync(join(out, 'lib'));
        writeFileSync(join(out, 'lib', 'evil.so'), '');
      },
      /"lib\/evil.so" is not signed/,
    ],
    ['a file less', (out) => rmSync(join(out, 'LICENSE')), /LICENSE is missing/],
    [
      'a link',
      (out) => {
        renameSync(join(out, 'LICENSE'), `${out}-licence`);
        symlinkSync(`${out}-licence`, join(out, 'LICENSE'));
      },
      /"LICENSE" is not a plain file/,
    ],
  ])('refuses %s', async (_, spoil, message) => {
    const out = await pulled();
    spoil(out);
    await expect(verifyFolder(out, trusted)).rejects.toMatchObject({
      code: 'signature_invalid',
      message: expect.stringMatching(message),
    });
  });

  it('rejects a publisher whose key was not given', async () => {
    const out = await pulled();
    await expect(verifyFolder(out, trustPublishers([]))).rejects.toMatchObject({ code: 'signature_invalid' });
  });

  it('names what is missing from a folder that is not a pulled version', async () => {
    const out = await pulled();
    for (const file of ['model.sig', 'manifest.json']) {
      const copy = `${out}-without-${file}`;
      cpSync(out, copy, { recursive: true });
      rmSync(join(copy, file));
      await expect(verifyFolder(copy, trusted)).rejects.toMatchObject({ code: 'invalid_request' });
      writeFileSync(join(copy, file), '{}');
      await expect(verifyFolder(copy, trusted)).rejects.toMatchObject({
        code: file === 'model.sig' ? 'signature_invalid' : 'invalid_request',
      });
    }
  });

  it('is what edgewise model verify --folder uses', async () => {
    const out = await pulled();
    const good = await edgewise('model', 'verify', '--folder', out, '--json');
    expect(JSON.parse(good.stdout)).toMatchObject({ name: 'signed', signer: 'tests', verified: true });
    appendFileSync(join(out, 'weights.bin'), 'x');
    const bad = await edgewise('model', 'verify', '--folder', out);
    expect(bad).toMatchObject({ code: 1, stderr: expect.stringMatching(/code: signature_invalid/) });
    const stranger = await edgewise(
      'model',
      'verify',
      'signed',
      '--key',
      join(folder, 'keys', 'acme.pub.pem'),
    );
    expect(stranger.stderr).toMatch(
      /which belongs to no publisher that is trusted here\n {2}code: signature_invalid/,
    );
    expect((await edgewise('model', 'verify')).stderr).toMatch(/say what to verify/);
  });
});

describe('openVersion()', () => {
  it('rejects weights whose chunks are intact but do not form the signed file', async () => {
    await publish('two-faced', licenceDigest);
    const { chunks } = await openVersion(client(), 'two-faced', '1');
    const readAll = async () => {
      for await (const _ of chunks()) {
        // Reading checks them.
      }
    };
    await expect(readAll()).rejects.toMatchObject({
      code: 'digest_mismatch',
      message: expect.stringMatching(
        /the weights of two-faced@1 have the digest sha256:.* as one file, signed is/,
      ),
    });
  });
});
