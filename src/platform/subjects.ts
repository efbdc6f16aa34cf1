/** Puts together what those whose data it is can ask for. */
import { type NoticeOptions, privacyNotice } from '../governance/subjects/notice.ts';
import { createSubjects, type Subjects } from '../governance/subjects/subjects.ts';
import type { Services } from '../http/services.ts';
import type { StateStore } from '../storage/types.ts';

export interface SubjectParts extends Pick<Services, 'accounts' | 'governance'> {
  /** What the server keeps of callers. */
  readonly records: StateStore | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Undefined where the server keeps no accounts, or does not account for its answers. */
export function composeSubjects(
  config: NoticeOptions | undefined,
  { accounts, governance, records, now }: SubjectParts,
): Subjects | undefined {
  if (config === undefined || accounts === undefined || governance === undefined || records === undefined) {
    return undefined;
  }
  const { finalStatements, grantRevisions, receipts, vault } = governance;
  return createSubjects({
    state: records,
    accounts: accounts.store,
    vault,
    receipts,
    notice: privacyNotice(config),
    now,
    recoveryWindowDays: config.recoveryWindowDays,
    settling: {
      close: (tenant) => finalStatements.close(tenant),
      forgetGrant: (id) => grantRevisions.forget(id),
    },
  });
}
