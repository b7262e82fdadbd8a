/**
 * What comes with this command: its version, and the manifests of that version of the mesh.
 *
 * In a clone the manifests are a file beside the sources; a bundle has them inside (`build/build-command.ts`).
 */
import { readFile } from 'node:fs/promises';
import { messageOf } from '@ambit/core/errors';
import { VERSION } from '@ambit/core/gen/version';
import { InstallError } from '../errors.ts';

export interface Shipped {
  readonly version: string;
  /** Custom resource definitions included, rendered from the chart with its default values. */
  readonly manifests: string;
}

/** There in a bundle alone. */
declare const AMBIT_SHIPPED: Shipped | undefined;

const MANIFESTS = new URL('../../../../deploy/manifests/ambit.yaml', import.meta.url);

/** @throws {@link InstallError} if this copy of the command came without them. */
export async function shipped(): Promise<Shipped> {
  if (typeof AMBIT_SHIPPED !== 'undefined') return AMBIT_SHIPPED;
  try {
    return { version: VERSION, manifests: await readFile(MANIFESTS, 'utf8') };
  } catch (error) {
    throw new InstallError(`this command has no manifests with it: ${messageOf(error)}`, { cause: error });
  }
}
