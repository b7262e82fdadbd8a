/** What providers reject with. */
import { MeshError } from '@ambit/core/errors';

/** A cluster cannot be made, found or asked; the message says what to do where that is known. */
export class ProviderError extends MeshError {
  readonly code = 'PROVIDER';
  readonly side = 'internal';
}

/** This machine cannot have such a cluster, whatever is tried: a privilege or a program is missing. */
export class MachineError extends MeshError {
  readonly code = 'MACHINE';
  readonly side = 'downstream';
}

/** For what a cluster has no capability for. */
export function lacking(provider: string, what: string): Promise<never> {
  return Promise.reject(new ProviderError(`a cluster of the provider ${provider} cannot ${what}`));
}
