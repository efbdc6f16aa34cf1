/** Sends requests to the Durable Objects that count meters. */
import type { ExchangeUnits } from '../governance/quota/lease-exchange.ts';
import type { GrantMeter } from './meter.ts';

/** Retries an error that the platform marks as retryable once, on a new stub. The ids in a request make it take effect once. */
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
