/**
 * A rate that the isolates of one place keep together. Each counts by itself and refuses by that at once; what it has
 * counted it reports to a counter that they share, by the batch and after the answer, so that no request waits for it. When
 * the counter says that all of them together are over, this isolate refuses the subject for a tenth of its period and asks
 * again. So a place lets through its rate and, of each isolate in it, at most a batch more.
 */
import type { Clock } from '../../async/clock.ts';
import { Lru } from '../../async/lru.ts';
import type { Defer } from '../../storage/types.ts';
import type { RateLimiter, RateVerdict, SharedCounter } from './rate.ts';
import type { Rate } from './schema.ts';

/** A batch is so many parts of the rate, or what has come in this time, whatever is sooner. */
const batchesOfRate = 32;
const maxBatchMs = 1000;
const maxSubjects = 4096;
/** Of the period, for which a subject is refused that the place found over. */
const refusedShare = 0.1;

export interface SharedRateOptions {
  /** What this isolate counts by. */
  readonly local: RateLimiter;
  readonly shared: SharedCounter;
  readonly clock: Clock;
  readonly defer: Defer;
}

interface Report {
  unreported: number;
  reportedAt: number;
  refusedUntil: number;
}

export function createSharedRate({ local, shared, clock, defer }: SharedRateOptions): RateLimiter {
  const reports = new Lru<string, Report>({ maxBytes: maxSubjects });

  function reportOf(subject: string): Report {
    const known = reports.get(subject);
    if (known !== undefined) return known;
    const report = { unreported: 0, reportedAt: clock.now(), refusedUntil: Number.NEGATIVE_INFINITY };
    reports.set(subject, report, 1);
    return report;
  }

  async function send(subject: string, rate: Rate, requests: number, report: Report): Promise<void> {
    try {
      if ((await shared.add(subject, rate, requests)) === 'within') return;
      report.refusedUntil = clock.now() + rate.perSeconds * 1000 * refusedShare;
    } catch {
      // Protection that fails protects less; what this isolate counts by itself stands.
    }
  }

  return {
    take(subject, rate): RateVerdict {
      const report = reportOf(subject);
      const now = clock.now();
      if (now < report.refusedUntil) {
        const resetSeconds = Math.max(1, Math.ceil((report.refusedUntil - now) / 1000));
        return { permitted: false, rate, remaining: 0, resetSeconds };
      }
      const verdict = local.take(subject, rate);
      if (verdict.permitted) {
        report.unreported += 1;
        if (report.unreported >= rate.requests / batchesOfRate || now - report.reportedAt >= maxBatchMs) {
          const { unreported } = report;
          report.unreported = 0;
          report.reportedAt = now;
          defer(send(subject, rate, unreported, report));
        }
      }
      return verdict;
    },
  };
}
