/** Field numbers of onnx/onnx.proto (ONNX project, IR version 13); the types: `proto-types.ts`. */
import type * as proto from './proto-types.ts';
import * as wire from './wire.ts';
import * as packed from './wire-packed.ts';

export const modelProto: wire.MessageCodec<proto.ModelProto> = wire.defineMessage({
  irVersion: wire.int64Field(1),
  producerName: wire.stringField(2),
  producerVersion: wire.stringField(3),
  domain: wire.stringField(4),
  modelVersion: wire.int64Field(5),
  docString: wire.stringField(6),
  graph: wire.messageField(7, () => graphProto),
  opsetImport: wire.messageList(8, () => operatorSetIdProto),
  metadataProps: wire.messageList(14, () => stringStringEntryProto),
  trainingInfo: wire.messageList(20, () => trainingInfoProto),
  functions: wire.messageList(25, () => functionProto),
  configuration: wire.messageList(26, () => deviceConfigurationProto),
});

const graphProto: wire.MessageCodec<proto.GraphProto> = wire.defineMessage({
  node: wire.messageList(1, () => nodeProto),
  name: wire.stringField(2),
  initializer: wire.messageList(5, () => tensorProto),
  docString: wire.stringField(10),
  input: wire.messageList(11, () => valueInfoProto),
  output: wire.messageList(12, () => valueInfoProto),
  valueInfo: wire.messageList(13, () => valueInfoProto),
  quantizationAnnotation: wire.messageList(14, () => tensorAnnotation),
  sparseInitializer: wire.messageList(15, () => sparseTensorProto),
  metadataProps: wire.messageList(16, () => stringStringEntryProto),
});

const nodeProto: wire.MessageCodec<proto.NodeProto> = wire.defineMessage({
  input: wire.stringList(1),
  output: wire.stringList(2),
  name: wire.stringField(3),
  opType: wire.stringField(4),
  attribute: wire.messageList(5, () => attributeProto),
  docString: wire.stringField(6),
  domain: wire.stringField(7),
  overload: wire.stringField(8),
  metadataProps: wire.messageList(9, () => stringStringEntryProto),
  deviceConfigurations: wire.messageList(10, () => nodeDeviceConfigurationProto),
});

const attributeProto: wire.MessageCodec<proto.AttributeProto> = wire.defineMessage({
  name: wire.stringField(1),
  f: wire.floatField(2),
  i: wire.int64Field(3),
  s: wire.bytesField(4),
  t: wire.messageField(5, () => tensorProto),
  g: wire.messageField(6, () => graphProto),
  floats: packed.floatNumbers(7),
  ints: packed.int64Numbers(8),
  strings: wire.bytesList(9),
  tensors: wire.messageList(10, () => tensorProto),
  graphs: wire.messageList(11, () => graphProto),
  docString: wire.stringField(13),
  tp: wire.messageField(14, () => typeProto),
  typeProtos: wire.messageList(15, () => typeProto),
  type: wire.int32Field(20),
  refAttrName: wire.stringField(21),
  sparseTensor: wire.messageField(22, () => sparseTensorProto),
  sparseTensors: wire.messageList(23, () => sparseTensorProto),
});

export const tensorProto: wire.MessageCodec<proto.TensorProto> = wire.defineMessage({
  dims: wire.int64List(1),
  dataType: wire.int32Field(2),
  segment: wire.messageField(3, () => tensorSegment),
  floatData: packed.floatData(4),
  int32Data: packed.int32Data(5),
  stringData: wire.bytesList(6),
  int64Data: packed.int64Data(7),
  name: wire.stringField(8),
  rawData: wire.bytesField(9),
  doubleData: packed.doubleData(10),
  uint64Data: packed.uint64Data(11),
  docString: wire.stringField(12),
  externalData: wire.messageList(13, () => stringStringEntryProto),
  dataLocation: wire.int32Field(14),
  metadataProps: wire.messageList(16, () => stringStringEntryProto),
});

const tensorSegment: wire.MessageCodec<proto.TensorSegment> = wire.defineMessage({
  begin: wire.int64Field(1),
  end: wire.int64Field(2),
});

const sparseTensorProto: wire.MessageCodec<proto.SparseTensorProto> = wire.defineMessage({
  values: wire.messageField(1, () => tensorProto),
  indices: wire.messageField(2, () => tensorProto),
  dims: wire.int64List(3),
});

const valueInfoProto: wire.MessageCodec<proto.ValueInfoProto> = wire.defineMessage({
  name: wire.stringField(1),
  type: wire.messageField(2, () => typeProto),
  docString: wire.stringField(3),
  metadataProps: wire.messageList(4, () => stringStringEntryProto),
});

const typeProto: wire.MessageCodec<proto.TypeProto> = wire.defineMessage({
  tensorType: wire.messageField(1, () => tensorTypeProto),
  sequenceType: wire.messageField(4, () => elementTypeProto),
  mapType: wire.messageField(5, () => mapTypeProto),
  denotation: wire.stringField(6),
  opaqueType: wire.messageField(7, () => opaqueTypeProto),
  sparseTensorType: wire.messageField(8, () => tensorTypeProto),
  optionalType: wire.messageField(9, () => elementTypeProto),
});

const tensorTypeProto: wire.MessageCodec<proto.TensorTypeProto> = wire.defineMessage({
  elemType: wire.int32Field(1),
  shape: wire.messageField(2, () => tensorShapeProto),
});

const elementTypeProto: wire.MessageCodec<proto.ElementTypeProto> = wire.defineMessage({
  elemType: wire.messageField(1, () => typeProto),
});

const mapTypeProto: wire.MessageCodec<proto.MapTypeProto> = wire.defineMessage({
  keyType: wire.int32Field(1),
  valueType: wire.messageField(2, () => typeProto),
});

const opaqueTypeProto: wire.MessageCodec<proto.OpaqueTypeProto> = wire.defineMessage({
  domain: wire.stringField(1),
  name: wire.stringField(2),
});

const tensorShapeProto: wire.MessageCodec<proto.TensorShapeProto> = wire.defineMessage({
  dim: wire.messageList(1, () => dimensionProto),
});

const dimensionProto: wire.MessageCodec<proto.DimensionProto> = wire.defineMessage({
  dimValue: wire.int64Field(1),
  dimParam: wire.stringField(2),
  denotation: wire.stringField(3),
});

const operatorSetIdProto: wire.MessageCodec<proto.OperatorSetIdProto> = wire.defineMessage({
  domain: wire.stringField(1),
  version: wire.int64Field(2),
});

const stringStringEntryProto: wire.MessageCodec<proto.StringStringEntryProto> = wire.defineMessage({
  key: wire.stringField(1),
  value: wire.stringField(2),
});

const tensorAnnotation: wire.MessageCodec<proto.TensorAnnotation> = wire.defineMessage({
  tensorName: wire.stringField(1),
  quantParameterTensorNames: wire.messageList(2, () => stringStringEntryProto),
});

const functionProto: wire.MessageCodec<proto.FunctionProto> = wire.defineMessage({
  name: wire.stringField(1),
  sinceVersion: wire.int64Field(2),
  status: wire.int32Field(3),
  input: wire.stringList(4),
  output: wire.stringList(5),
  attribute: wire.stringList(6),
  node: wire.messageList(7, () => nodeProto),
  docString: wire.stringField(8),
  opsetImport: wire.messageList(9, () => operatorSetIdProto),
  domain: wire.stringField(10),
  attributeProto: wire.messageList(11, () => attributeProto),
  valueInfo: wire.messageList(12, () => valueInfoProto),
  overload: wire.stringField(13),
  metadataProps: wire.messageList(14, () => stringStringEntryProto),
});

const trainingInfoProto: wire.MessageCodec<proto.TrainingInfoProto> = wire.defineMessage({
  initialization: wire.messageField(1, () => graphProto),
  algorithm: wire.messageField(2, () => graphProto),
  initializationBinding: wire.messageList(3, () => stringStringEntryProto),
  updateBinding: wire.messageList(4, () => stringStringEntryProto),
});

const deviceConfigurationProto: wire.MessageCodec<proto.DeviceConfigurationProto> = wire.defineMessage({
  name: wire.stringField(1),
  numDevices: wire.int32Field(2),
  device: wire.stringList(3),
});

const nodeDeviceConfigurationProto: wire.MessageCodec<proto.NodeDeviceConfigurationProto> =
  wire.defineMessage({
    configurationId: wire.stringField(1),
    shardingSpec: wire.messageList(2, () => shardingSpecProto),
    pipelineStage: wire.int32Field(3),
  });

const shardingSpecProto: wire.MessageCodec<proto.ShardingSpecProto> = wire.defineMessage({
  tensorName: wire.stringField(1),
  device: wire.int64List(2),
  indexToDeviceGroupMap: wire.messageList(3, () => intIntListEntryProto),
  shardedDim: wire.messageList(4, () => shardedDimProto),
});

const intIntListEntryProto: wire.MessageCodec<proto.IntIntListEntryProto> = wire.defineMessage({
  key: wire.int64Field(1),
  value: wire.int64List(2),
});

const shardedDimProto: wire.MessageCodec<proto.ShardedDimProto> = wire.defineMessage({
  axis: wire.int64Field(1),
  simpleSharding: wire.messageList(2, () => simpleShardedDimProto),
});

const simpleShardedDimProto: wire.MessageCodec<proto.SimpleShardedDimProto> = wire.defineMessage({
  dimValue: wire.int64Field(1),
  dimParam: wire.stringField(2),
  numShards: wire.int64Field(3),
});
