/** Composes the services for requests of data subjects. */
import { createPrivacyNotice, type NoticeOptions } from '../governance/subjects/notice.ts';
import { createSubjects, type Subjects } from '../governance/subjects/subjects.ts';
import type { Services } from '../http/services.ts';
import type { StateStore } from '../storage/types.ts';

export interface SubjectParts extends Pick<Services, 'accounts' | 'governance'> {
  /** Store of the data about callers. */
  readonly records: StateStore | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Returns undefined if the server has no accounts or no governance. */
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
    notice: createPrivacyNotice(config),
    now,
    recoveryWindowDays: config.recoveryWindowDays,
    settling: {
      close: (tenant) => finalStatements.close(tenant),
      forgetGrant: (id) => grantRevisions.forget(id),
    },
  });
}
