/** Configuration for data subjects: the contact of the privacy notice, and how long copies of erased data may exist. */
import { z } from 'zod';
import type { NoticeOptions } from '../governance/subjects/notice.ts';
import { whole } from './variables.ts';

export const subjectVariables = {
  /** Contact for questions about personal data: an address that the privacy notice names. */
  EDGEWISE_PRIVACY_CONTACT: z.string().min(1).max(200).optional(),
  /**
   * Longest time in which erased data could be restored. Default 30 days: Cloudflare can restore the storage of a Durable
   * Object for that long. Set it higher if backups of the records bucket are kept for longer.
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
