/** Decides by the bounds of its cost where a model may run, and explains it to the publisher. */
import { EdgewiseError } from '../../errors.ts';
import type { TensorSpec } from '../../tensor/tensor.ts';
import type { ModelConfig } from '../config-schema.ts';
import { quoteName } from '../name.ts';
import { analyseCost, type CostBounds, type UnboundedCost } from '../onnx/cost/analyse.ts';
import type { ModelProto } from '../onnx/proto-types.ts';

/** Most causes that a message lists. */
const maxListedCauses = 3;

/**
 * @throws EdgewiseError `invalid_request` for bounds of an input that does not exist or is not numeric, for sample values
 * outside the bounds, and for a model of unbounded cost that is to be served at the edge alone.
 */
export function boundCost(config: ModelConfig, model: ModelProto, inputs: readonly TensorSpec[]): CostBounds {
  checkBounds(config, inputs);
  const cost = analyseCost(model, new Set(Object.keys(config.values ?? {})));
  if (cost.unbounded.length > 0 && config.tier === 'edge') {
    throw new EdgewiseError(
      'invalid_request',
      `${config.name} is to be served at the edge alone ("tier": "edge"), where one request must not keep all others waiting: ${describeUnbounded(cost)}`,
    );
  }
  return cost;
}

function checkBounds({ name, sampleValues, values = {} }: ModelConfig, inputs: readonly TensorSpec[]): void {
  for (const [input, { min, max }] of Object.entries(values)) {
    const spec = inputs.find((each) => each.name === input);
    if (spec === undefined || spec.datatype === 'BYTES') {
      const numeric = inputs.filter(({ datatype }) => datatype !== 'BYTES').map((each) => each.name);
      throw new EdgewiseError(
        'invalid_request',
        `config.json of ${name} has "values" for ${JSON.stringify(input)}; expected inputs of numbers: ${numeric.join(', ')}`,
      );
    }
    const sample = Object.hasOwn(sampleValues, input) ? sampleValues[input] : undefined;
    if (sample !== undefined && !(sample >= min && sample <= max)) {
      throw new EdgewiseError(
        'invalid_request',
        `config.json of ${name} has the sample value ${sample} for ${JSON.stringify(input)}; expected ${min} to ${max}, as its "values" say`,
      );
    }
  }
}

/** Tells a publisher which costs are unbounded, and what to do. */
export function describeUnbounded({ unbounded }: CostBounds): string {
  const listed = unbounded.slice(0, maxListedCauses).map(describeCause);
  const rest = unbounded.length - listed.length;
  const inputs = [...new Set(unbounded.flatMap((cause) => cause.inputs))];
  return `${listed.join('; ')}${rest === 0 ? '' : `; and ${rest} more`}. ${adviceFor(inputs)}`;
}

function describeCause({ decides, inputs, node, operator }: UnboundedCost): string {
  const causes =
    inputs.length === 0
      ? 'random or unknown values'
      : `the values of ${inputs.map((input) => quoteName(input)).join(', ')}`;
  return `${causes} decide ${decides} of ${operator} ${quoteName(node)}`;
}

function adviceFor(inputs: readonly string[]): string {
  const [first] = inputs;
  return first === undefined
    ? 'Nothing in config.json bounds these'
    : `If these are counts or sizes, bound them in config.json: "values": { ${quoteName(first)}: { "min": 0, "max": 100 } }`;
}
