/**
 * Models that return their input, one for each datatype of the protocol (such as `echo-fp16`), and `acme/echo` (FP32), whose
 * name has an organisation.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DataType, dataTypeNames } from '../../src/tensor/datatype.ts';
import { identityModel } from '../support/onnx-models.ts';
import { licenceFile, licenceText, openSourceTerms } from '../support/terms.ts';

/** Writes the models' folders into `parent` and returns them. */
export function writeEchoModels(parent: string): readonly string[] {
  const echoes = dataTypeNames.map((type) => writeEchoModel(parent, `echo-${type.toLowerCase()}`, type));
  return [...echoes, writeEchoModel(parent, 'acme/echo', 'FP32')];
}

/** Writes a model's folder into `parent` and returns it. */
export function writeEchoModel(parent: string, name: string, datatype: DataType): string {
  const folder = join(parent, name);
  mkdirSync(join(folder, '1'), { recursive: true });
  writeFileSync(join(folder, '1', 'model.onnx'), identityModel(datatype, ['count']).graph);
  const config = { name, description: `Answers its ${datatype} input.`, terms: openSourceTerms };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(join(folder, licenceFile), licenceText);
  return folder;
}
