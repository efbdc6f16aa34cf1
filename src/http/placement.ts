import { EdgewiseError } from '../errors.ts';
import type { Manifest } from '../repository/schema.ts';
import { type Placement, place, type Tier } from '../routing/place.ts';
import type { Services } from './services.ts';

/** A refusal depends on what is published and configured, which changes by a person's hand. */
const retryAfterSeconds = 30;

/**
 * Where a request for the model runs.
 *
 * @throws EdgewiseError what `place` refuses with: `origin_unavailable`, `no_capacity`, `invalid_request`.
 */
export function placed(
  services: Services,
  manifest: Manifest,
  wish?: Tier,
): Extract<Placement, { tier: Tier }> {
  const placement = place({
    policy: manifest.tier,
    edgePeakBytes: manifest.edgeProfile?.peakBytes,
    edgeCapBytes: services.edgeCapBytes,
    hasOrigin: false,
    wish,
  });
  if ('refused' in placement) {
    throw new EdgewiseError(
      placement.refused,
      `model "${manifest.name}" cannot be run: ${placement.because}`,
      { retryAfterSeconds },
    );
  }
  return placement;
}

/** The wish of the `Edgewise-Tier` header. @throws EdgewiseError `invalid_request` */
export function tierWish(header: string | undefined): Tier | undefined {
  if (header === undefined || header === 'edge' || header === 'origin') {
    return header;
  }
  throw new EdgewiseError(
    'invalid_request',
    `the header Edgewise-Tier is ${JSON.stringify(header.slice(0, 40))}, wanted "edge" or "origin"`,
  );
}
