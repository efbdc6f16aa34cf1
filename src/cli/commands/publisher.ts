import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import { type CurveName, curveNames } from '../../repository/signing/curve.ts';
import { fingerprintOf, publicKeyPem } from '../../repository/signing/public-key.ts';
import { print } from '../command.ts';
import { writeNewFile } from '../files.ts';
import { privateKeyFile } from '../publisher-keys.ts';
import { generatePublisherKey } from '../signing-key.ts';

/** Every verb of `edgewise publisher`. */
export function addPublisherCommands(program: Command): void {
  const publisher = program.command('publisher').description('publishers, who sign models');
  publisher
    .command('keygen')
    .description('create a key that signs models, and its public key for EDGEWISE_TRUSTED_PUBLISHERS')
    .option('--out <file>', 'file of the private key; the public key is written beside it', privateKeyFile)
    .option('--name <name>', 'the name of the publisher at servers', 'local')
    .addOption(new Option('--curve <curve>', 'the elliptic curve').choices(curveNames).default('P-384'))
    .option('--json', 'print the result as JSON')
    .action(keygen);
}

interface KeygenOptions {
  readonly out: string;
  readonly name: string;
  readonly curve: CurveName;
  readonly json?: boolean;
}

async function keygen({ out, name, curve, json = false }: KeygenOptions): Promise<void> {
  const { privatePem, publicKey } = generatePublisherKey(curve);
  const publicPem = publicKeyPem(publicKey);
  const publicFile = publicFileOf(out);
  await mkdir(dirname(out), { recursive: true });
  // A lost key cannot be made again, so a key is never overwritten.
  await writeNewFile(out, privatePem, { next: 'name another file with --out', mode: 0o600 });
  await writeFile(publicFile, publicPem);
  const fingerprint = await fingerprintOf(publicKey);
  const trusted = JSON.stringify([{ name, key: publicPem }]);
  print(
    { json },
    { privateKey: out, publicKey: publicFile, curve, fingerprint, trusted },
    `${out} signs: keep it secret. ${publicFile} verifies (${curve}, ${fingerprint}).\nServers accept its models with:\n\n  EDGEWISE_TRUSTED_PUBLISHERS='${trusted}'`,
  );
}

/** `publisher.pem` → `publisher.pub.pem`. */
function publicFileOf(privateFile: string): string {
  return `${privateFile.replace(/\.pem$/, '')}.pub.pem`;
}
