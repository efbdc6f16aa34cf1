/**
 * A rate limit that the isolates of one data centre enforce together. Each isolate counts by itself and refuses at once by
 * its own count. It reports its count to a shared counter, in batches and after the answer, so that no request waits. If the
 * counter reports that all isolates together exceed the rate, this isolate refuses the subject for a tenth of its period and
 * then asks again. So a data centre permits its rate and at most one batch more per isolate.
 */
import type { Clock } from '../../async/clock.ts';
import { Lru } from '../../async/lru.ts';
import type { Defer } from '../../storage/types.ts';
import type { RateLimiter, RateVerdict, SharedCounter } from './rate.ts';
import type { Rate } from './schema.ts';

/** A batch is complete after this fraction of the rate, or after `maxBatchMs`, whichever comes first. */
const batchesOfRate = 32;
const maxBatchMs = 1000;
const maxSubjects = 4096;
/** Share of the period for which a subject over the shared rate is refused. */
const refusedShare = 0.1;

export interface SharedRateOptions {
  /** The isolate's own limiter. */
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
      // Without the shared counter, this isolate's own count still applies.
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
