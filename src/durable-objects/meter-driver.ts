/** Asks the objects that count meters. */
import type { ExchangeUnits } from '../governance/quota/lease-exchange.ts';
import type { GrantMeter } from './meter.ts';

/** Errors of the platform that say so may be tried again, on a new stub. An exchange is done once, by the ids in it. */
export function durableObjectMeters(namespace: DurableObjectNamespace<GrantMeter>): ExchangeUnits {
  return async (meter, request) => {
    try {
      return await namespace.getByName(meter).exchange(request);
    } catch (error) {
      if (!isRetryable(error)) throw error;
      return await namespace.getByName(meter).exchange(request);
    }
  };
}

function isRetryable(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  return Reflect.get(error, 'retryable') === true && Reflect.get(error, 'overloaded') !== true;
}
