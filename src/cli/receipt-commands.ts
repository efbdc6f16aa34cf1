import { type Command, InvalidArgumentError } from 'commander';
import { EdgewiseError } from '../errors.ts';
import { inputsOfBody, outputsOfBody } from '../governance/verify/bodies.ts';
import { olderCheckpoint } from '../governance/verify/older-checkpoint.ts';
import { verifyReceipt } from '../governance/verify/verify-receipt.ts';
import { several } from './account-command.ts';
import { print } from './command.ts';
import { bytesAt, filesOf, textAt } from './evidence.ts';
import { jsonOf, receiptIn } from './receipt-text.ts';
import { verificationText } from './render-receipt.ts';
import { addReplayCommand } from './replay-command.ts';

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
    .option('--salt <salt>', 'of the answer, its header Edgewise-Receipt-Salt')
    .option('--input <file>', 'the body of the request')
    .option('--input-header-length <bytes>', 'its header Inference-Header-Content-Length, where it had one')
    .option('--output <file>', 'the body of the answer')
    .option('--output-header-length <bytes>', 'its header Inference-Header-Content-Length, where it had one')
    .option('--json', 'print the result as JSON')
    .action(verify);
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
  const { salt, input, output } = options;
  if (input === undefined && output === undefined) return undefined;
  if (salt === undefined) {
    throw new EdgewiseError('invalid_request', '--input and --output want the --salt of the answer');
  }
  return {
    salt,
    inputs: input === undefined ? undefined : inputsOfBody(await bytesAt(input), options.inputHeaderLength),
    outputs:
      output === undefined ? undefined : outputsOfBody(await bytesAt(output), options.outputHeaderLength),
  };
}

function count(value: string): number {
  if (!/^[0-9]{1,3}$/.test(value)) throw new InvalidArgumentError('wanted a number');
  return Number(value);
}
