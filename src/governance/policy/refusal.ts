import type { ErrorCode } from '../../errors.ts';
import type { Action, Grant } from '../accounts/schema.ts';
import type { GateFacts, Refusal } from './types.ts';

/** The right that a use lacks. */
export interface MissingRight {
  readonly code: ErrorCode;
  /** A noun phrase that can follow "this requires". */
  readonly right: string;
  /** Where the right can be obtained: with the model's terms, by accepting the licence, or nowhere on this server. */
  readonly at: 'terms' | 'acceptances' | 'nowhere';
}

const failures: Record<Action, (model: string) => string> = {
  infer: (model) => `model "${model}" was not run`,
  explain: (model) => `model "${model}" was not explained`,
  download: (model) => `the weights of model "${model}" were not sent`,
};

const howToAccept = '. Accept it with POST /v1/acceptances and a key with the scope account "manage"';

/** The limit of the receipt's schema. */
const maxRightLength = 300;

interface Circumstances {
  readonly purpose: string | undefined;
  readonly territory?: string | undefined;
  readonly grant?: Grant | undefined;
}

export function createRefusal(
  missing: MissingRight,
  { action, manifest }: GateFacts,
  circumstances: Circumstances,
): Refusal {
  const right =
    missing.right.length > maxRightLength ? `${missing.right.slice(0, maxRightLength - 1)}…` : missing.right;
  const { purpose, territory, grant } = circumstances;
  return {
    permitted: false,
    code: missing.code,
    right,
    message: `${failures[action](manifest.name)}: this requires ${right}${missing.at === 'acceptances' ? howToAccept : ''}`,
    where: pathOf(missing, manifest.name),
    purpose,
    territory,
    grant,
  };
}

function pathOf({ at }: MissingRight, model: string): string | undefined {
  if (at === 'nowhere') return undefined;
  return at === 'acceptances' ? '/v1/acceptances' : termsPath(model);
}

export function termsPath(model: string): string {
  return `/v1/models/${encodeURIComponent(model)}/terms`;
}
