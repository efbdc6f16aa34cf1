import type { ErrorCode } from '../../errors.ts';
import type { Action, Grant } from '../accounts/schema.ts';
import type { GateFacts, Refusal } from './types.ts';

/** What stands in the way of a use. */
export interface Bar {
  readonly code: ErrorCode;
  /** The right that is missing, so phrased that "wanted" can stand before it. */
  readonly right: string;
  /** Where it can be had: with the model's terms, by accepting the licence, or nowhere on this server. */
  readonly at: 'terms' | 'acceptances' | 'nowhere';
}

const attempts: Record<Action, (model: string) => string> = {
  infer: (model) => `model "${model}" was not run`,
  explain: (model) => `model "${model}" was not explained`,
  download: (model) => `the weights of model "${model}" were not sent`,
};

const howToAccept = '; accepting it takes POST /v1/acceptances and a key with the scope account "manage"';

/** As the receipt's schema holds it. */
const maxRightLength = 300;

interface Circumstances {
  readonly purpose: string | undefined;
  readonly territory?: string | undefined;
  readonly grant?: Grant | undefined;
}

export function createRefusal(
  bar: Bar,
  { action, manifest }: GateFacts,
  circumstances: Circumstances,
): Refusal {
  const right = bar.right.length > maxRightLength ? `${bar.right.slice(0, maxRightLength - 1)}…` : bar.right;
  const { purpose, territory, grant } = circumstances;
  return {
    permitted: false,
    code: bar.code,
    right,
    message: `${attempts[action](manifest.name)}: wanted ${right}${bar.at === 'acceptances' ? howToAccept : ''}`,
    where: pathOf(bar, manifest.name),
    purpose,
    territory,
    grant,
  };
}

function pathOf({ at }: Bar, model: string): string | undefined {
  if (at === 'nowhere') return undefined;
  return at === 'acceptances' ? '/v1/acceptances' : termsPath(model);
}

export function termsPath(model: string): string {
  return `/v1/models/${encodeURIComponent(model)}/terms`;
}
