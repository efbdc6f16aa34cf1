/** The inputs and outputs that a receipt's commitments are opened with. */
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import type { GivenSalts, Side } from '../../governance/receipt/commitment.ts';
import { peekReceipt } from '../../governance/receipt/read.ts';
import { inputsOfBody, outputsOfBody } from '../../governance/verify/bodies.ts';
import type { Level } from '../../governance/verify/verify-receipt.ts';
import type { NamedTensors } from '../../tensor/tensor.ts';
import type { KeptAnswer } from './kept-answer.ts';
import { bytesAt } from './places.ts';

const headerLengthName = 'inference-header-content-length';

/** The bodies of request and answer in files, with their `Inference-Header-Content-Length` if they have one. */
export interface BodyFiles extends GivenSalts {
  readonly request?: string | undefined;
  readonly requestHeaderLength?: string | undefined;
  readonly answer?: string | undefined;
  readonly answerHeaderLength?: string | undefined;
}

export interface Opening extends GivenSalts {
  readonly inputs?: NamedTensors | undefined;
  readonly outputs?: NamedTensors | undefined;
}

/**
 * Reads the tensors from the bodies in files; undefined if no body is given.
 *
 * @throws EdgewiseError `invalid_request` for a body without its salt, or one that cannot be read.
 */
export async function openingOfFiles(files: BodyFiles): Promise<Opening | undefined> {
  const { salt, inputSalt, outputSalt, request, answer } = files;
  if (request === undefined && answer === undefined) return undefined;
  if (request !== undefined) requireSalt(salt ?? inputSalt, 'request', '--input-salt');
  if (answer !== undefined) requireSalt(salt ?? outputSalt, 'answer', '--output-salt');
  return {
    salt,
    inputSalt,
    outputSalt,
    inputs:
      request === undefined ? undefined : inputsOfBody(await bytesAt(request), files.requestHeaderLength),
    outputs:
      answer === undefined ? undefined : outputsOfBody(await bytesAt(answer), files.answerHeaderLength),
  };
}

function requireSalt(salt: string | undefined, body: string, option: string): void {
  if (salt !== undefined) return;
  throw new EdgewiseError(
    'invalid_request',
    `the body of the ${body} was given without its salt; add --salt, the answer's header Edgewise-Receipt-Salt, or ${option}`,
  );
}

export interface AnswerOpening {
  readonly opening: Opening;
  /** Levels that are decided without opening a commitment. */
  readonly decided: { readonly [S in Side]?: Level };
}

/**
 * Reads the tensors from a kept answer. A side that the receipt does not commit to, such as the outputs of a refusal, is
 * `not-given`; an answer whose body is not one is `bad`.
 *
 * @throws EdgewiseError `invalid_request` for a request body that cannot be read.
 */
export function openingOfAnswer(answer: KeptAnswer, receipt: string, salts: GivenSalts): AnswerOpening {
  const decided: { [S in Side]?: Level } = {};
  const opening: { -readonly [K in keyof Opening]: Opening[K] } = {
    ...salts,
    salt: salts.salt ?? answer.headers.get('edgewise-receipt-salt') ?? undefined,
  };
  const isCommitted = committedSides(receipt);
  if (!isCommitted.inputs) decided.inputs = describeUncommitted('inputs');
  else if (answer.requestBody !== undefined) {
    const headerLength = answer.requestHeaders.get(headerLengthName) ?? undefined;
    opening.inputs = inputsOfBody(answer.requestBody, headerLength);
  }
  if (!isCommitted.outputs) decided.outputs = describeUncommitted('outputs');
  else {
    try {
      opening.outputs = outputsOfBody(answer.body, answer.headers.get(headerLengthName) ?? undefined);
    } catch (error) {
      if (!isEdgewiseError(error)) throw error;
      decided.outputs = { outcome: 'bad', reason: error.message };
    }
  }
  return { opening, decided };
}

/** A receipt that cannot be read counts as committed to both sides: verification says that it cannot be read. */
function committedSides(compact: string): { readonly [S in Side]: boolean } {
  try {
    const { receipt } = peekReceipt(compact);
    const data = receipt.kind === 'inference' ? receipt.data : undefined;
    return { inputs: data?.inputs !== undefined, outputs: data?.outputs !== undefined };
  } catch (error) {
    if (!isEdgewiseError(error)) throw error;
    return { inputs: true, outputs: true };
  }
}

function describeUncommitted(side: Side): Level {
  return { outcome: 'not-given', reason: `the receipt does not commit to ${side}` };
}
