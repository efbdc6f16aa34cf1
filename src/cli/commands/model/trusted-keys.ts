/** The option of verbs that verify who signed a model. */
import { Option } from 'commander';
import type { TrustedPublisher } from '../../../repository/signing/publishers.ts';
import { repeated } from '../../option-values.ts';
import { findTrustedPublishers } from '../../publisher-keys.ts';

export interface TrustedKeyOptions {
  readonly key: readonly string[];
}

export function trustedKeyOption(): Option {
  return new Option(
    '--key <file>',
    'PEM of a public key to verify the signature with; may be given several times (default: EDGEWISE_TRUSTED_PUBLISHERS, else .edgewise/publisher.pub.pem)',
  )
    .argParser(repeated)
    .default([]);
}

export function publishersIn({ key }: TrustedKeyOptions): readonly TrustedPublisher[] {
  return findTrustedPublishers(key, process.env, process.cwd());
}
