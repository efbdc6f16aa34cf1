/** The backend cases that do not pass, by cause. The run checks that these and no others fail. */

export interface Cause {
  readonly title: string;
  readonly why: string;
  /** Matches the failure of a case: its stage, the error's code and message. */
  readonly fails: RegExp;
  /** True if a case may pass by chance. */
  readonly byChance?: boolean;
  readonly cases: readonly string[];
}

export const casesInAll = 1072;
/** Number of cases that onnxruntime-web passes when called directly; none may be lost over HTTP. */
export const leastPassing = 958;

export const causes: readonly Cause[] = [
  {
    title: 'Sequences and optionals',
    why: 'An input or output is a sequence or an optional: the Open Inference Protocol carries tensors only. Refused at push.',
    fails: /^publish: unsupported_datatype: .* is not a tensor/,
    cases: [
      'test_identity_opt',
      'test_identity_sequence',
      'test_if_opt',
      'test_if_seq',
      'test_loop13_seq',
      'test_loop16_seq_none',
      'test_optional_get_element',
      'test_optional_get_element_sequence',
      'test_optional_has_element',
      'test_optional_has_element_empty',
      'test_sequence_insert_at_back',
      'test_sequence_insert_at_front',
      'test_sequence_map_add_1_sequence_1_tensor',
      'test_sequence_map_add_1_sequence_1_tensor_expanded',
      'test_sequence_map_add_2_sequences',
      'test_sequence_map_add_2_sequences_expanded',
      'test_sequence_map_extract_shapes',
      'test_sequence_map_extract_shapes_expanded',
      'test_sequence_map_identity_1_sequence',
      'test_sequence_map_identity_1_sequence_1_tensor',
      'test_sequence_map_identity_1_sequence_1_tensor_expanded',
      'test_sequence_map_identity_1_sequence_expanded',
      'test_sequence_map_identity_2_sequences',
      'test_sequence_map_identity_2_sequences_expanded',
    ],
  },
  {
    title: 'bfloat16',
    why: "An input or output is bfloat16, which the Open Inference Protocol's list of datatypes does not have. Refused at push.",
    fails: /^publish: unsupported_datatype: .* is of the type BFLOAT16/,
    cases: [
      'test_cast_BFLOAT16_to_FLOAT',
      'test_cast_FLOAT_to_BFLOAT16',
      'test_castlike_BFLOAT16_to_FLOAT',
      'test_castlike_BFLOAT16_to_FLOAT_expanded',
      'test_castlike_FLOAT_to_BFLOAT16',
      'test_castlike_FLOAT_to_BFLOAT16_expanded',
    ],
  },
  {
    title: 'Training operators',
    why: 'Gradients and optimisers of `ai.onnx.preview.training`. ONNX Runtime runs models, it does not train them.',
    fails: /^publish: invalid_request: the model uses the operator ai\.onnx\.preview\.training:/,
    cases: [
      'test_adagrad',
      'test_adagrad_multiple',
      'test_adam',
      'test_adam_multiple',
      'test_gradient_of_add',
      'test_gradient_of_add_and_mul',
      'test_momentum',
      'test_momentum_multiple',
      'test_nesterov_momentum',
    ],
  },
  {
    title: 'Operator sets before 7',
    why: "Models of operator set 6 or older. ONNX Runtime's kernels begin with 7: such a model has to be converted.",
    fails: /^publish: invalid_request: .*Could not find an implementation for \w+\([1-6]\)/,
    cases: [
      'test_AvgPool1d',
      'test_AvgPool1d_stride',
      'test_AvgPool2d',
      'test_AvgPool2d_stride',
      'test_AvgPool3d',
      'test_AvgPool3d_stride',
      'test_AvgPool3d_stride1_pad0_gpu_input',
      'test_BatchNorm1d_3d_input_eval',
      'test_BatchNorm2d_eval',
      'test_BatchNorm2d_momentum_eval',
      'test_BatchNorm3d_eval',
      'test_BatchNorm3d_momentum_eval',
      'test_GLU',
      'test_GLU_dim',
      'test_Linear',
      'test_PReLU_1d',
      'test_PReLU_1d_multiparam',
      'test_PReLU_2d',
      'test_PReLU_2d_multiparam',
      'test_PReLU_3d',
      'test_PReLU_3d_multiparam',
      'test_PoissonNLLLLoss_no_reduce',
      'test_Softsign',
      'test_operator_add_broadcast',
      'test_operator_add_size1_broadcast',
      'test_operator_add_size1_right_broadcast',
      'test_operator_add_size1_singleton_broadcast',
      'test_operator_addconstant',
      'test_operator_addmm',
      'test_operator_basic',
      'test_operator_mm',
      'test_operator_non_float_params',
      'test_operator_params',
      'test_operator_pow',
    ],
  },
  {
    title: 'Types without a kernel',
    why: 'The operator is there, but not for this element type (16-bit integers; unsigned exponents), neither in the WebAssembly builds of ONNX Runtime nor in the native one.',
    fails: /^publish: invalid_request: .*Could not find an implementation for (BitShift|Max|Min|Pow)\(\d+\)/,
    cases: [
      'test_bitshift_left_uint16',
      'test_bitshift_right_uint16',
      'test_max_int16',
      'test_max_uint16',
      'test_min_int16',
      'test_min_uint16',
      'test_pow_types_float32_uint32',
      'test_pow_types_float32_uint64',
    ],
  },
  {
    title: 'Batch-first recurrent layers',
    why: "`layout = 1` of GRU, LSTM and RNN is not implemented in ONNX Runtime's CPU kernels.",
    fails: /^publish: invalid_request: .*Batchwise recurrent operations/,
    cases: ['test_gru_batchwise', 'test_lstm_batchwise', 'test_simple_rnn_batchwise'],
  },
  {
    title: 'Random outputs',
    why: 'The outputs are drawn at random, and not by the generator that the expected ones were drawn with. Datatype and shape are compared, values cannot be.',
    fails: /^compare: output "\w+" differs at element/,
    byChance: true,
    cases: [
      'test_bernoulli',
      'test_bernoulli_double',
      'test_bernoulli_double_expanded',
      'test_bernoulli_expanded',
      'test_bernoulli_seed',
      'test_bernoulli_seed_expanded',
      'test_training_dropout',
      'test_training_dropout_default',
      'test_training_dropout_default_mask',
      'test_training_dropout_mask',
    ],
  },
  {
    title: 'Rounding of Fourier transforms',
    why: 'A sum in 32-bit floats against one in 64-bit: where the exact value is 0 the difference (under a millionth of the largest value) is over the absolute tolerance.',
    fails: /^compare: output "\w+" differs at element/,
    cases: ['test_dft', 'test_dft_axis', 'test_dft_inverse', 'test_stft', 'test_stft_with_window'],
  },
  {
    title: 'Floats as text',
    why: 'ONNX Runtime writes a float as text with eight significant digits, NumPy with as many as tell it apart: `0.60484552`, `0.6048455`.',
    fails: /^compare: output "output" differs at element/,
    cases: [
      'test_cast_FLOAT_to_STRING',
      'test_castlike_FLOAT_to_STRING',
      'test_castlike_FLOAT_to_STRING_expanded',
    ],
  },
  {
    title: 'Another reading of the operator',
    why: 'ONNX Runtime reads Resize with aligned corners and a size that is rounded down, and MaxUnpool into a larger output, otherwise than these cases do; the native build answers the same.',
    fails: /^compare: output "[yY]" differs at element/,
    cases: [
      'test_maxunpool_export_with_output_shape',
      'test_resize_downsample_scales_cubic_align_corners',
      'test_resize_downsample_scales_linear_align_corners',
    ],
  },
];

const byCase = new Map(causes.flatMap((cause) => cause.cases.map((name) => [name, cause] as const)));

/** Returns why the case does not pass; undefined if it must pass. */
export function causeOf(name: string): Cause | undefined {
  return byCase.get(name);
}
