/** What providers reject with. */
import { MeshError } from '@ambit/core/errors';

/** A cluster cannot be made, found or asked; the message says what to do where that is known. */
export class ProviderError extends MeshError {
  readonly code = 'PROVIDER';
  readonly side = 'internal';
}
