import type { PublishStep } from '../../repository/publish/types.ts';

export interface PushProgress {
  readonly step: PublishStep | 'compare' | 'upload' | 'sign' | 'publish';
  readonly detail: string;
}

export type ReportProgress = (progress: PushProgress) => void;
