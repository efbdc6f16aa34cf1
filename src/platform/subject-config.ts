/** What those whose data it is are told, and for how long copies of what was erased may exist. */
import { z } from 'zod';
import type { NoticeOptions } from '../governance/subjects/notice.ts';
import { whole } from './variables.ts';

export const subjectVariables = {
  /** Where to ask about data: an address that the privacy notice names. */
  EDGEWISE_PRIVACY_CONTACT: z.string().min(1).max(200).optional(),
  /**
   * The longest time for which anything could bring erased data back. 30 days: so long Cloudflare can restore the storage of
   * a Durable Object. Longer where copies of the records bucket are kept for longer.
   */
  EDGEWISE_RECOVERY_WINDOW_DAYS: whole(0, 3650).default(30),
};

type SubjectValues = z.output<z.ZodObject<typeof subjectVariables>>;

export function subjectConfig(
  values: SubjectValues,
  known: Pick<NoticeOptions, 'controller' | 'jurisdiction' | 'recipients'>,
): NoticeOptions {
  return {
    ...known,
    contact: values.EDGEWISE_PRIVACY_CONTACT,
    recoveryWindowDays: values.EDGEWISE_RECOVERY_WINDOW_DAYS,
  };
}
