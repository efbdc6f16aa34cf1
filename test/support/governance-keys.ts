/** Keys of the tests. Fixed, so that failures are reproducible; public, so they must not be used anywhere else. */

/** Ed25519 keys as a JWKS: the first signs, and receipts of the second still verify. */
export const testSigningKeys = JSON.stringify({
  keys: [
    {
      kty: 'OKP',
      crv: 'Ed25519',
      x: 'U5ONnzCpxVxe-O7FlHNC2cEMnKiIQwuNFT8ZqOAynng',
      d: 'h72tbga8vECKd1K8X_O_pg3IpXs4cKjHM6v-cdiEo7E',
      kid: '013wrKM8P3jtlKGPGxx4M-9GWM83_oOthn70sX0zCIk',
      alg: 'EdDSA',
      use: 'sig',
    },
    {
      kty: 'OKP',
      crv: 'Ed25519',
      x: 'kIVmPja2PL_MYjx9hmudI57H65dnQAOxByfWfNGzvtQ',
      d: 'xM4cJFMxhsCYmt5rMH31MSob2ZPMm0mft7JBYS3DpJA',
      kid: 'cmzf5l3u5KXRboRfd7vcR7HWLBx26ICgGCf4ZI6nOs4',
      alg: 'EdDSA',
      use: 'sig',
    },
  ],
});

/** AES-256 keys in base64url: the first wraps, and the second still unwraps. */
export const testRecordsKeys =
  'Ovr0-S4hJpzt7ourHhfQRFujsXSxcgEJpmaEbu6p7O0,9U2GjS8IFJ-AWxONRiGnmVMAmW3cZyE3JnayzUmlWgU';

/** The log's signer key, and the verifier key of its checkpoints. */
export const testLogKey =
  'PRIVATE+KEY+log.edgewise.test/receipts+fd45d7ba+ARwtTUeuXRAkHyKSrDEr6FIg7qKQjPfopTi+TD1anCEX';
export const testLogVerifierKey =
  'log.edgewise.test/receipts+fd45d7ba+AVUutedzVQupmZbBrjnlmiVkQcYnWPtOQUALet+2RsiT';

export interface TestWitness {
  readonly privateKey: string;
  readonly verifierKey: string;
}

/** Witnesses that the log knows. */
export const testWitnesses: readonly [TestWitness, TestWitness] = [
  {
    privateKey: 'PRIVATE+KEY+witness.test/one+f4a6f5f4+AVBQ3M1XHAKsPuNEE/r9iyjRXo1CsBWZrGyWxlzv7MCJ',
    verifierKey: 'witness.test/one+df6e51ff+BG1SfejBRpMErxiWhxBKJPwAqnfwMn/OfbIaOKpufM/E',
  },
  {
    privateKey: 'PRIVATE+KEY+witness.test/two+8ec8738e+AVv1OnOm1k8FYSz3LKYTzhIV+PI9aRcI36XIw7vE4WKO',
    verifierKey: 'witness.test/two+61664f7e+BIAuwkCEcE1NJz07IpyoDqQWu6eC6QV+lIfUFlpJ7tii',
  },
];

/** A witness that the log does not know. */
export const strangeWitness: TestWitness = {
  privateKey: 'PRIVATE+KEY+witness.test/unknown+371a6ef1+AeTQCtX7TA/6PsT/jL9wQO+uHLqHoCJ4T6PWj+5xrFtE',
  verifierKey: 'witness.test/unknown+35c0748f+BFNndc3oAaQ1ubGoBFsn4OTGGg01Avg2DeYOQQr0PopW',
};

/** The worker's secrets in tests. */
export const testGovernanceBindings = {
  EDGEWISE_SIGNING_KEYS: testSigningKeys,
  EDGEWISE_RECORDS_KEYS: testRecordsKeys,
  EDGEWISE_LOG_KEY: testLogKey,
  EDGEWISE_WITNESSES: testWitnesses.map(({ verifierKey }) => verifierKey).join(','),
};
