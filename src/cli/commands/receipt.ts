import { type Command, InvalidArgumentError } from 'commander';
import { base64url } from 'jose';
import { EdgewiseError } from '../../errors.ts';
import { deriveSalt, parseSalt } from '../../governance/receipt/commitment.ts';
import { inputsOfBody, outputsOfBody } from '../../governance/verify/bodies.ts';
import { olderCheckpoint } from '../../governance/verify/older-checkpoint.ts';
import { verifyReceipt } from '../../governance/verify/verify-receipt.ts';
import { print } from '../command.ts';
import { bytesAt, filesOf, textAt } from '../evidence/places.ts';
import { jsonOf, receiptIn } from '../evidence/receipt-file.ts';
import { verificationText } from '../render/receipt.ts';
import { several } from './account.ts';
import { addReplayCommand } from './replay.ts';

/** Every verb of `edgewise receipt`. */
export function addReceiptCommands(program: Command): void {
  const receipt = program.command('receipt').description('what answers say of themselves');
  addReplayCommand(receipt);
  receipt
    .command('verify <receipt>')
    .description(
      'check a receipt by itself: a file with the compact JWS, or what /v1/receipts/{id} answered; - reads stdin',
    )
    .requiredOption('--jwks <file or url>', "the server's public keys, its /.well-known/jwks.json")
    .option('--proof <file or url>', 'that it is in the log (C2SP tlog-proof)')
    .option('--log-key <key>', "the log's public key, with which the proof is verified")
    .option('--witness <key>', 'public key of a witness; may be given several times', several)
    .option('--quorum <count>', 'how many of the witnesses must have cosigned (default: all)', count)
    .option('--older <file>', 'a checkpoint seen before, which the log must still begin with')
    .option('--log <folder or url>', "the log's files, for --older")
    .option('--salt <salt>', 'of the answer, its header Edgewise-Receipt-Salt: opens inputs and outputs')
    .option('--input-salt <salt>', 'opens the inputs alone: see edgewise receipt salts')
    .option('--output-salt <salt>', 'opens the outputs alone')
    .option('--input <file>', 'the body of the request')
    .option('--input-header-length <bytes>', 'its header Inference-Header-Content-Length, where it had one')
    .option('--output <file>', 'the body of the answer')
    .option('--output-header-length <bytes>', 'its header Inference-Header-Content-Length, where it had one')
    .option('--json', 'print the result as JSON')
    .action(verify);
  receipt
    .command('salts <salt>')
    .description(
      'the two salts that the header Edgewise-Receipt-Salt stands for: whoever is given one of them can check that side of the answer and learns nothing of the other',
    )
    .option('--json', 'print the result as JSON')
    .action((salt: string, options: { readonly json?: boolean }) => {
      const secret = parseSalt(salt);
      const inputs = base64url.encode(deriveSalt(secret, 'inputs'));
      const outputs = base64url.encode(deriveSalt(secret, 'outputs'));
      print(options, { inputs, outputs }, `inputs   ${inputs}\noutputs  ${outputs}`);
    });
}

interface VerifyOptions {
  readonly jwks: string;
  readonly proof?: string;
  readonly logKey?: string;
  readonly witness?: readonly string[];
  readonly quorum?: number;
  readonly older?: string;
  readonly log?: string;
  readonly salt?: string;
  readonly inputSalt?: string;
  readonly outputSalt?: string;
  readonly input?: string;
  readonly inputHeaderLength?: string;
  readonly output?: string;
  readonly outputHeaderLength?: string;
  readonly json?: boolean;
}

async function verify(place: string, options: VerifyOptions): Promise<void> {
  const given = receiptIn(await textAt(place));
  const proof = options.proof === undefined ? given.proof : await textAt(options.proof);
  const verification = await verifyReceipt({
    receipt: given.receipt,
    jwks: jsonOf(await textAt(options.jwks), options.jwks),
    proof,
    logKey: options.logKey,
    witnesses: options.witness,
    quorum: options.quorum,
    older: await olderOf(options, proof),
    opening: await openingOf(options),
  });
  print(options, verification, verificationText(verification));
  if (!verification.good) process.exitCode = 1;
}

async function olderOf({ older, log }: VerifyOptions, proof: string | undefined) {
  if (older === undefined) return undefined;
  if (proof === undefined || log === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      '--older wants a proof, whose checkpoint it is compared with, and --log, the files that lead from one to the other',
    );
  }
  return olderCheckpoint(await textAt(older), proof, filesOf(log));
}

async function openingOf(options: VerifyOptions) {
  const { salt, inputSalt, outputSalt, input, output } = options;
  if (input === undefined && output === undefined) return undefined;
  for (const [body, own, name] of [
    [input, inputSalt, 'input'],
    [output, outputSalt, 'output'],
  ] as const) {
    if (body !== undefined && salt === undefined && own === undefined) {
      throw new EdgewiseError(
        'invalid_request',
        `--${name} was given without its salt; add --salt, the answer's header Edgewise-Receipt-Salt, or --${name}-salt`,
      );
    }
  }
  return {
    salt,
    inputSalt,
    outputSalt,
    inputs: input === undefined ? undefined : inputsOfBody(await bytesAt(input), options.inputHeaderLength),
    outputs:
      output === undefined ? undefined : outputsOfBody(await bytesAt(output), options.outputHeaderLength),
  };
}

function count(value: string): number {
  if (!/^[0-9]{1,3}$/.test(value)) throw new InvalidArgumentError('wanted a number');
  return Number(value);
}
