/** `edgewise receipt replay`: runs an answer again on this machine. */
import type { Command } from 'commander';
import { EdgewiseError } from '../../../errors.ts';
import { importVerifyingKeys } from '../../../governance/receipt/keys.ts';
import { readReceipt } from '../../../governance/receipt/read.ts';
import type { Receipt, Verdict } from '../../../governance/receipt/schema.ts';
import { replay } from '../../../governance/replay/replay.ts';
import { inputsOfBody, outputsOfBody } from '../../../governance/verify/bodies.ts';
import { createNodeReplay } from '../../../platform/node-cli.ts';
import { trustPublishers } from '../../../repository/signing/publishers.ts';
import type { BlobStore } from '../../../storage/types.ts';
import { print } from '../../command.ts';
import { defaultUrl, findAdminKey } from '../../connection.ts';
import { bytesAt, jsonAt, textAt } from '../../evidence/places.ts';
import { receiptIn } from '../../evidence/receipt-file.ts';
import { several } from '../../option-values.ts';
import { findTrustedPublishers } from '../../publisher-keys.ts';
import { findingText } from '../../render/receipt.ts';
import { folderBlobs, offeredBlobs, storedBlobs } from '../../transfer/replay-source.ts';

export function addReplayCommand(receipt: Command): void {
  receipt
    .command('replay <receipt>')
    .description(
      'run an answer again on this machine, with the model and the runtime that its receipt names; exit code 1 if it is not reproduced, 3 if that cannot be decided',
    )
    .requiredOption('--input <file>', 'the body of the request')
    .option('--input-header-length <bytes>', 'its header Inference-Header-Content-Length, if it had one')
    .requiredOption('--salt <salt>', "the answer's header Edgewise-Receipt-Salt")
    .option(
      '--output <file>',
      'the body of the answer: needed for an answer of an origin, which differs slightly',
    )
    .option('--output-header-length <bytes>', 'its header Inference-Header-Content-Length, if it had one')
    .option(
      '--url <url>',
      'the worker that has the model (default: EDGEWISE_URL, else http://localhost:8787)',
    )
    .option('--folder <folder>', 'a pulled version of the model, instead of --url')
    .option(
      '--jwks <file or url>',
      "the server's public keys (default: /.well-known/jwks.json of the worker)",
    )
    .option(
      '--key <file>',
      'PEM of a trusted publisher; may be given several times (default: EDGEWISE_TRUSTED_PUBLISHERS, else .edgewise/publisher.pub.pem)',
      several,
    )
    .option(
      '--runtime <folder>',
      'builds of the runtime of another version of Edgewise, its build/ort; may be given several times. Its code is run',
      several,
    )
    .option('--json', 'print the result as JSON')
    .action(replayAnswer);
}

interface ReplayOptions {
  readonly input: string;
  readonly inputHeaderLength?: string;
  readonly salt: string;
  readonly output?: string;
  readonly outputHeaderLength?: string;
  readonly url?: string;
  readonly folder?: string;
  readonly jwks?: string;
  readonly key?: readonly string[];
  readonly runtime?: readonly string[];
  readonly json?: boolean;
}

const exitCodes: { readonly [V in Verdict]: number } = {
  reproduced_exact: 0,
  reproduced_within: 0,
  not_reproduced: 1,
  class_not_reproducible: 3,
  evidence_missing: 3,
};

async function replayAnswer(place: string, options: ReplayOptions): Promise<void> {
  const url = options.url ?? process.env['EDGEWISE_URL'] ?? defaultUrl;
  const { folder, input, inputHeaderLength, output, outputHeaderLength, salt, runtime } = options;
  const jwks = options.jwks ?? defaultJwks(url, folder);
  const keys = await importVerifyingKeys(await jsonAt(jwks));
  const { receipt } = await readReceipt(receiptIn(await textAt(place)).receipt, keys);
  const inputs = inputsOfBody(await bytesAt(input), inputHeaderLength);
  const outputs = output === undefined ? undefined : outputsOfBody(await bytesAt(output), outputHeaderLength);
  const trusted = findTrustedPublishers(options.key ?? [], process.env, process.cwd());
  const tools = createNodeReplay({
    blobs: folder === undefined ? blobsAt(url, receipt) : folderBlobs(folder),
    publishers: trustPublishers(trusted),
    ...(runtime !== undefined && { runtimes: runtime }),
  });
  const finding = await replay({ receipt, salt, inputs, outputs }, tools);
  print(options, { receipt: receipt.id, ...finding }, findingText(receipt, finding));
  process.exitCode = exitCodes[finding.verdict];
}

/** @throws EdgewiseError `invalid_request` with a folder: then the replay may be offline, and has no server to ask. */
function defaultJwks(url: string, folder: string | undefined): string {
  if (folder !== undefined) {
    throw new EdgewiseError('invalid_request', "--folder needs --jwks, the server's public keys");
  }
  return `${url.replace(/\/+$/, '')}/.well-known/jwks.json`;
}

/**
 * With an admin key every stored blob, else the files that the caller with the key EDGEWISE_KEY may download.
 *
 * @throws EdgewiseError `invalid_request` without an admin key, if the receipt is not of an answer.
 */
function blobsAt(url: string, receipt: Receipt): BlobStore {
  const adminKey = findAdminKey(process.env, process.cwd());
  if (adminKey !== undefined) return storedBlobs(url, adminKey);
  if (receipt.kind !== 'inference') {
    throw new EdgewiseError(
      'invalid_request',
      `the receipt is of kind ${receipt.kind}; expected the receipt of an answer`,
    );
  }
  const { name, version } = receipt.model;
  return offeredBlobs(url, name, version, process.env['EDGEWISE_KEY']);
}
