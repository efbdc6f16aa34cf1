/** The checks that policy packs can apply to a model: a closed list, so that a pack is data and never code. */
import type { Terms } from '../../repository/terms.ts';

interface Check {
  readonly passes: (terms: Terms) => boolean;
  /** What a model lacks if the check does not pass. */
  readonly missing: string;
  /** The field with the evidence that the check passes. */
  readonly evidence: string;
}

const checks = {
  'marking-present': {
    passes: ({ marking }) => marking !== undefined,
    missing: 'a statement of how its outputs are marked as machine-made (terms.marking)',
    evidence: 'terms.marking',
  },
  'ai-label-duty': {
    passes: ({ duties }) => duties.includes('ai-label'),
    missing: 'the duty to label its outputs as machine-made ("ai-label" in terms.duties)',
    evidence: 'terms.duties',
  },
  'training-data-sources': {
    passes: ({ trainingData }) => trainingData.sources.length > 0 || trainingData.url !== undefined,
    missing: 'the sources of its training data (terms.trainingData.sources or .url)',
    evidence: 'terms.trainingData',
  },
  'personal-data-stated': {
    passes: ({ trainingData }) => trainingData.personalData !== 'unknown',
    missing:
      'a statement on whether its training data contains personal data (terms.trainingData.personalData)',
    evidence: 'terms.trainingData.personalData',
  },
  'creator-contact': {
    passes: ({ creator }) => creator.contact !== undefined || creator.url !== undefined,
    missing: 'a contact address of its creator (terms.creator.contact or .url)',
    evidence: 'terms.creator',
  },
  'acceptance-required': {
    passes: ({ licence }) => licence.acceptance === 'required',
    missing: 'a licence that requires acceptance (terms.licence.acceptance)',
    evidence: 'terms.licence.acceptance',
  },
} as const satisfies Record<string, Check>;

export type PackCheck = keyof typeof checks;
export const packChecks = Object.keys(checks).filter(isPackCheck);

export function isPackCheck(name: string): name is PackCheck {
  return Object.hasOwn(checks, name);
}

export function checkOf(name: PackCheck): Check {
  return checks[name];
}
