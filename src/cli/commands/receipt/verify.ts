/** `edgewise receipt verify`: checks a receipt, or a whole answer, from what its caller kept. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { base64url } from 'jose';
import { EdgewiseError } from '../../../errors.ts';
import { proveOlderCheckpoint } from '../../../governance/verify/older-checkpoint.ts';
import { type Level, verifyReceipt } from '../../../governance/verify/verify-receipt.ts';
import { verifySignedAnswer } from '../../../governance/verify/verify-signed-answer.ts';
import { misuse, print } from '../../command.ts';
import { type KeptAnswer, readKeptAnswer } from '../../evidence/kept-answer.ts';
import { openingOfAnswer, openingOfFiles } from '../../evidence/opening.ts';
import { filesOf, jsonAt, textAt } from '../../evidence/places.ts';
import { type ReceiptFile, receiptIn } from '../../evidence/receipt-file.ts';
import {
  fetchLogKey,
  fetchProof,
  fetchReceipt,
  jwksAddress,
  parseAddress,
  requireReceiptId,
} from '../../evidence/server.ts';
import { repeated, several } from '../../option-values.ts';
import { verificationText } from '../../render/receipt.ts';

export function addReceiptVerifyCommand(receipt: Command): void {
  receipt
    .command('verify [receipt]')
    .description(
      'check an answer by its --headers and --answer, or a receipt by itself: a file with the compact JWS, or what /v1/receipts/{id} answered; - reads stdin',
    )
    .option('--headers <file>', 'the response headers, as curl -D writes them')
    .option('--answer <file>', 'the body of the answer')
    .option('--request <file>', 'the body of the request')
    .option(
      '--url <url>',
      'the address that the request was sent to; its server is asked for keys and proof that are not given',
    )
    .option('--jwks <file or url>', "the server's public keys, its /.well-known/jwks.json")
    .option('--proof <file or url>', 'that the receipt is in the log (C2SP tlog-proof)')
    .option('--log-key <key>', "the log's public key, with which the proof is verified")
    .option('--witness <key>', 'public key of a witness; may be given several times', several)
    .option('--quorum <count>', 'how many of the witnesses must have cosigned (default: all)', count)
    .option('--older <file>', 'a checkpoint seen before, which the log must still begin with')
    .option('--log <folder or url>', "the log's files, for --older")
    .option(
      '--salt <salt>',
      'opens inputs and outputs: the header Edgewise-Receipt-Salt (default: of --headers)',
    )
    .option('--input-salt <salt>', 'opens the inputs alone: see edgewise receipt salts')
    .option('--output-salt <salt>', 'opens the outputs alone')
    .option(
      '--request-header <header>',
      'a header of the request, as curl -H takes it; may be given several times',
      repeated,
      [],
    )
    .option('--method <method>', 'the method of the request', 'POST')
    .option('--nonce <nonce>', 'the nonce of Accept-Signature, which the signature must have')
    .addOption(new Option('--input <file>').hideHelp())
    .option(
      '--input-header-length <bytes>',
      "the request's header Inference-Header-Content-Length, if it had one",
    )
    .addOption(new Option('--output <file>').hideHelp())
    .option(
      '--output-header-length <bytes>',
      "the answer's header Inference-Header-Content-Length (default: of --headers)",
    )
    .option('--json', 'print the result as JSON')
    .action(verify);
}

interface VerifyOptions {
  readonly headers?: string;
  readonly answer?: string | undefined;
  readonly request?: string | undefined;
  readonly url?: string;
  readonly jwks?: string;
  readonly proof?: string;
  readonly logKey?: string;
  readonly witness?: readonly string[];
  readonly quorum?: number;
  readonly older?: string;
  readonly log?: string;
  readonly salt?: string;
  readonly inputSalt?: string;
  readonly outputSalt?: string;
  readonly requestHeader: readonly string[];
  readonly method: string;
  readonly nonce?: string;
  /** The name of `--request` in earlier releases. */
  readonly input?: string;
  readonly inputHeaderLength?: string;
  /** The name of `--answer` in earlier releases. */
  readonly output?: string;
  readonly outputHeaderLength?: string;
  readonly json?: boolean;
}

async function verify(place: string | undefined, given: VerifyOptions): Promise<void> {
  const options = { ...given, request: given.request ?? given.input, answer: given.answer ?? given.output };
  const server = options.url === undefined ? undefined : parseAddress(options.url);
  const jwksPlace = options.jwks ?? (server && jwksAddress(server));
  if (jwksPlace === undefined) {
    throw misuse("name the server's keys: --url, the address that the request was sent to, or --jwks");
  }
  const answer = await answerOf(options);
  const found = await findReceipt(place, answer, server);
  const { proof, inclusion } = await findProof(found, options, server);
  const jwks = await jsonAt(jwksPlace);
  const opened = answer && openingOfAnswer(answer, found.receipt, options);
  const verification = await verifyReceipt({
    receipt: found.receipt,
    jwks,
    proof,
    logKey: options.logKey ?? (proof && server && (await fetchLogKey(server))),
    witnesses: options.witness,
    quorum: options.quorum,
    older: await olderOf(options, proof),
    opening: opened === undefined ? await openingOfFiles(filesIn(options)) : opened.opening,
  });
  const signed =
    answer &&
    (await verifySignedAnswer({
      method: options.method.toUpperCase(),
      targetUri: server === undefined || server.pathname === '/' ? undefined : server.href,
      requestHeaders: answer.requestHeaders,
      requestBody: answer.requestBody,
      status: answer.status,
      headers: answer.headers,
      body: answer.body,
      jwks,
      nonce: options.nonce,
    }));
  const levels: Record<string, Level> = { ...inclusion, ...opened?.decided, ...signed };
  const good = verification.good && Object.values(levels).every(({ outcome }) => outcome !== 'bad');
  const result = { ...verification, ...levels, good };
  print(options, result, verificationText(result));
  if (!good) process.exitCode = 1;
}

async function answerOf(options: VerifyOptions): Promise<KeptAnswer | undefined> {
  const { headers, answer, request, inputHeaderLength } = options;
  if (headers === undefined) return undefined;
  if (answer === undefined) throw misuse('--headers needs --answer, the file with the body of the answer');
  const more =
    inputHeaderLength === undefined ? [] : [`Inference-Header-Content-Length: ${inputHeaderLength}`];
  return readKeptAnswer({ headers, answer, request, requestHeaders: [...options.requestHeader, ...more] });
}

async function findReceipt(
  place: string | undefined,
  answer: KeptAnswer | undefined,
  server: URL | undefined,
): Promise<ReceiptFile> {
  const receipt = answer?.headers.get('edgewise-receipt') ?? undefined;
  if (receipt !== undefined && place !== undefined) {
    throw misuse(`the receipt is given twice: in --headers and as ${place}`);
  }
  const id = answer?.headers.get('edgewise-receipt-id') ?? undefined;
  if (place !== undefined) {
    const found = receiptIn(await textAt(place));
    if (id !== undefined) requireReceiptId(found, id);
    return found;
  }
  if (answer === undefined)
    throw misuse('say what to verify: a file with a receipt, or --headers and --answer');
  if (receipt !== undefined) {
    const proof = answer.headers.get('edgewise-receipt-proof');
    return { receipt, ...(proof !== null && { proof: decodeProofHeader(proof) }) };
  }
  if (id !== undefined && server !== undefined) return fetchReceipt(server, id, process.env['EDGEWISE_KEY']);
  throw new EdgewiseError(
    'invalid_request',
    id === undefined
      ? '--headers has no Edgewise-Receipt: the answer comes without a receipt, or the header was removed'
      : `the receipt ${id} is too long for a header: add --url, or the file with what /v1/receipts/${id} answered`,
  );
}

/** A header that is not base64url is returned as it is: verification finds that it is not a proof. */
function decodeProofHeader(header: string): string {
  try {
    return new TextDecoder().decode(base64url.decode(header));
  } catch {
    return header;
  }
}

interface FoundProof {
  readonly proof: string | undefined;
  /** Replaces the level of the verification. */
  readonly inclusion?: { readonly inclusion: Level };
}

async function findProof(
  found: ReceiptFile,
  options: VerifyOptions,
  server: URL | undefined,
): Promise<FoundProof> {
  if (options.proof !== undefined) return { proof: await textAt(options.proof) };
  if (found.proof !== undefined || server === undefined) return { proof: found.proof };
  const proof = await fetchProof(server, found.receipt);
  if (proof !== undefined) return { proof };
  const reason = `the log at ${server.origin}/log has no such receipt; if it is signed, POST it to /v1/receipts`;
  return { proof, inclusion: { inclusion: { outcome: 'bad', reason } } };
}

function filesIn(options: VerifyOptions) {
  const { inputHeaderLength, outputHeaderLength, ...rest } = options;
  return { ...rest, requestHeaderLength: inputHeaderLength, answerHeaderLength: outputHeaderLength };
}

async function olderOf({ older, log }: VerifyOptions, proof: string | undefined) {
  if (older === undefined) return undefined;
  if (proof === undefined || log === undefined) {
    throw new EdgewiseError(
      'invalid_request',
      '--older needs a proof, whose checkpoint it is compared with, and --log, the files that lead from one to the other',
    );
  }
  return proveOlderCheckpoint(await textAt(older), proof, filesOf(log));
}

function count(value: string): number {
  if (!/^[0-9]{1,3}$/.test(value)) throw new InvalidArgumentError('expected a number from 0 to 999');
  return Number(value);
}
