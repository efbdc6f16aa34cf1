/** Encodes what requests and responses share: JSON members, a list of tensors, binary blocks after the JSON. */
import { EdgewiseError } from '../../errors.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { blockSize, writeBlock } from './binary-data.ts';
import { ByteWriter } from './byte-writer.ts';
import { quote } from './fail.ts';
import { jsonDataSize, writeJsonData } from './json-print.ts';
import type { EncodedMessage } from './types.ts';

export interface MessageTensor {
  readonly name: string;
  readonly tensor: Tensor;
  readonly binary: boolean;
}

export interface MessageParts {
  /** JSON text of the members before the list of tensors, each followed by a comma. */
  readonly head: string;
  readonly key: 'inputs' | 'outputs';
  readonly tensors: readonly MessageTensor[];
  /** JSON text of the members after the list of tensors, each preceded by a comma. */
  readonly tail: string;
  /** Limit of the whole body. Default: unlimited. */
  readonly maxBytes?: number | undefined;
}

/** Largest initial capacity for the JSON part; beyond it the buffer grows, because printed numbers take from two to nineteen bytes. */
const maxFirstJsonBytes = 2 ** 20;

/**
 * Writes the message into one buffer; every tensor is copied or printed once.
 *
 * @throws EdgewiseError `unsupported_datatype` for an FP16 tensor that is not binary; `too_large` beyond `maxBytes`.
 */
export function encodeMessage({
  head,
  key,
  tensors,
  tail,
  maxBytes = Number.POSITIVE_INFINITY,
}: MessageParts): EncodedMessage {
  const sizes = tensors.map(({ tensor, binary }) => (binary ? blockSize(tensor) : 0));
  const blockBytes = sizes.reduce((sum, size) => sum + size, 0);
  if (blockBytes > maxBytes) {
    throw new EdgewiseError(
      'too_large',
      `the binary ${key} take ${blockBytes} bytes; a body may have at most ${maxBytes}. Ask for fewer or smaller ones`,
    );
  }
  const writer = new ByteWriter(blockBytes + firstJsonBytes(head, tensors, tail), {
    maxBytes,
    error: () =>
      new EdgewiseError(
        'too_large',
        `the body would have more than ${maxBytes} bytes; ask for the ${key} in binary, which is smaller than JSON, or for fewer`,
      ),
  });
  writer.text(`{${head}"${key}":[`);
  for (let index = 0; index < tensors.length; index++) {
    const entry = tensors[index];
    if (entry === undefined) continue;
    const { name, tensor, binary } = entry;
    const start = `${index === 0 ? '' : ','}{"name":${JSON.stringify(name)},"shape":[${tensor.shape.join(',')}],"datatype":"${tensor.datatype}"`;
    if (binary) {
      writer.text(`${start},"parameters":{"binary_data_size":${sizes[index]}}}`);
    } else {
      writer.text(`${start},"data":`);
      writeJsonData(writer, `${key.slice(0, -1)} ${quote(name)}`, tensor);
      writer.text('}');
    }
  }
  writer.text(`]${tail}}`);
  if (!tensors.some(({ binary }) => binary)) return { body: writer.view(), contentType: 'application/json' };
  const headerLength = String(writer.length);
  for (let index = 0; index < tensors.length; index++) {
    const entry = tensors[index];
    if (entry?.binary !== true) continue;
    const size = sizes[index] ?? 0;
    writeBlock(entry.tensor, writer.reserve(size).subarray(0, size));
    writer.advance(size);
  }
  return { body: writer.view(), contentType: 'application/octet-stream', headerLength };
}

/** Returns an initial capacity that is large enough for most messages: growing the buffer copies it. */
function firstJsonBytes(head: string, tensors: readonly MessageTensor[], tail: string): number {
  let bytes = 64 + 3 * (head.length + tail.length);
  for (const { name, tensor, binary } of tensors) {
    bytes += 3 * (128 + 2 * name.length + 20 * tensor.shape.length);
    if (!binary) bytes += jsonDataSize(tensor);
  }
  return Math.min(bytes, maxFirstJsonBytes);
}
