/** What the control plane refuses, each with a code that never changes its meaning. */
import { MeshError } from '@ambit/core/errors';

/** Somebody who could not prove who they are, or asked for what is not theirs. The message is for our log alone. */
export class AuthenticationError extends MeshError {
  readonly code = 'AUTHENTICATION';
  readonly side = 'downstream';
}
