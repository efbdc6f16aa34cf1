import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import { EdgewiseError } from '../../errors.ts';
import { type CurveName, curveNames } from '../../repository/signing/curve.ts';
import { fingerprintOf, publicKeyPem } from '../../repository/signing/public-key.ts';
import { print } from '../command.ts';
import { privateKeyFile } from '../publisher-keys.ts';
import { generatePublisherKey } from '../signing-key.ts';

/** Every verb of `edgewise publisher`. */
export function addPublisherCommands(program: Command): void {
  const publisher = program.command('publisher').description('who signs models');
  publisher
    .command('keygen')
    .description('make a key to sign models with, and its public half for EDGEWISE_TRUSTED_PUBLISHERS')
    .option('--out <file>', 'where the private key goes; the public one beside it', privateKeyFile)
    .option('--name <name>', 'what servers call the publisher', 'local')
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

/** `publisher.pem` → `publisher.pub.pem`. */
function publicFileOf(privateFile: string): string {
  return `${privateFile.replace(/\.pem$/, '')}.pub.pem`;
}

async function keygen({ out, name, curve, json = false }: KeygenOptions): Promise<void> {
  const { privatePem, publicKey } = generatePublisherKey(curve);
  const publicPem = publicKeyPem(publicKey);
  const publicFile = publicFileOf(out);
  await mkdir(dirname(out), { recursive: true });
  await writeNew(out, privatePem, 0o600);
  await writeFile(publicFile, publicPem);
  const fingerprint = await fingerprintOf(publicKey);
  const trusted = JSON.stringify([{ name, key: publicPem }]);
  print(
    { json },
    { privateKey: out, publicKey: publicFile, curve, fingerprint, trusted },
    `${out} signs, and is for nobody else to see; ${publicFile} verifies (${curve}, ${fingerprint}).\nServers take its models with:\n\n  EDGEWISE_TRUSTED_PUBLISHERS='${trusted}'`,
  );
}

/** A key that is lost cannot be made again, so none is written over. */
async function writeNew(file: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx', mode });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code !== 'EEXIST') throw cause;
    throw new EdgewiseError('conflict', `${file} is there already: name another file with --out`, { cause });
  }
}
