/** Failures as the CNI specification wants them told: a code, a sentence, details. */
import { MeshError } from '@ambit/core/errors';

/** Codes below 100 are the specification's own. */
export const CNI_CODES = {
  incompatibleVersion: 1,
  invalidEnvironment: 4,
  ioFailure: 5,
  undecodable: 6,
  invalidConfig: 7,
  tryAgainLater: 11,
  notAvailable: 50,
  refusedByAgent: 100,
} as const;

export class CniError extends MeshError {
  readonly code = 'CNI';
  readonly side = 'internal';
  readonly cniCode: number;
  readonly details: string;

  constructor(kind: keyof typeof CNI_CODES, message: string, details = '', options?: ErrorOptions) {
    super(message, options);
    this.cniCode = CNI_CODES[kind];
    this.details = details;
  }
}
