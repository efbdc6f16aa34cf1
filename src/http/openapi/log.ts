/** The operations on the transparency log, and on the files of models. */
import type { Operation } from './operation.ts';

export const logOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/v1/models/{name}/versions/{version}/files/{file}',
    tag: 'Licences',
    summary: 'A file of a version, as its publisher signed it',
    description:
      'manifest.json, model.onnx, its weights, LICENSE, and the signature over them, model.sig. For models whose terms let the weights leave.',
    answer: 'binary',
  },
  {
    method: 'get',
    path: '/log/key',
    tag: 'Receipts',
    summary: "The log's public key",
    description:
      'C2SP signed-note. Whoever does not trust this server keeps the key that they saw first, or has it from elsewhere: it never changes.',
    answer: 'binary',
  },
  {
    method: 'get',
    path: '/log/checkpoint',
    tag: 'Receipts',
    summary: "The log's latest checkpoint",
    description: 'C2SP tlog-checkpoint: a signed note, with the signatures of witnesses.',
    answer: 'binary',
  },
  {
    method: 'get',
    path: '/log/tile/{path}',
    tag: 'Receipts',
    summary: 'Tiles of hashes, and bundles of entries',
    description: 'C2SP tlog-tiles: 0/000, 0/000.p/5, entries/x001/234. They never change.',
    answer: 'binary',
  },
  {
    method: 'get',
    path: '/log/proofs/{receiptHash}',
    tag: 'Receipts',
    summary: 'What proves that a receipt is in the log',
    description:
      'By the SHA-256 of the receipt as it is in the header Edgewise-Receipt. C2SP tlog-proof. With wait_ms the answer waits for it.',
    answer: 'binary',
  },
  {
    method: 'post',
    path: '/log/cosignatures',
    tag: 'Receipts',
    summary: "Leave a witness's signature under the latest checkpoint",
    body: 'binary',
  },
];
