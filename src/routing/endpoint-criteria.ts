/** Which endpoints can serve a request, by their configuration alone. */
import { type EndpointConfig, servesModel } from './endpoint-config.ts';

export interface EndpointCriteria {
  /** Our name of the model. */
  readonly model: string;
  /** Absent: what an endpoint does with the model is counted for all versions together. */
  readonly version?: string | undefined;
  readonly protocol: EndpointConfig['protocol'];
  /** Only endpoints of this jurisdiction. Absent: any. */
  readonly jurisdiction?: string | undefined;
}

export type VersionCriteria = Pick<EndpointCriteria, 'model' | 'version'>;

/** Returns the key under which the pool counts the model version: `name@version`, or `name`. Neither part contains `@`. */
export function versionKey({ model, version }: VersionCriteria): string {
  return version === undefined ? model : `${model}@${version}`;
}

/** Returns the model name of a key made by `versionKey`. */
export function modelOfKey(key: string): string {
  const at = key.lastIndexOf('@');
  return at < 0 ? key : key.slice(0, at);
}

export function isConfiguredFor(
  config: EndpointConfig,
  { model, protocol, jurisdiction }: EndpointCriteria,
): boolean {
  return (
    config.protocol === protocol &&
    (jurisdiction === undefined || config.jurisdiction === jurisdiction) &&
    servesModel(config, model)
  );
}
