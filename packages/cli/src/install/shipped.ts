/**
 * What comes with this command: its version, and the manifests of that version of the mesh.
 *
 * In a clone both are files beside the sources; a bundle has them inside (`build/build-command.ts`).
 */
import { readFile } from 'node:fs/promises';
import { messageOf } from '@ambit/core/errors';
import { InstallError } from '../errors.ts';
import { objectOf, textOf } from '../json-value.ts';

export interface Shipped {
  readonly version: string;
  /** Custom resource definitions included, rendered from the chart with its default values. */
  readonly manifests: string;
}

/** There in a bundle alone. */
declare const AMBIT_SHIPPED: Shipped | undefined;

const MANIFESTS = new URL('../../../../deploy/manifests/ambit.yaml', import.meta.url);
const PACKAGE = new URL('../../package.json', import.meta.url);

export async function shippedVersion(): Promise<string> {
  if (typeof AMBIT_SHIPPED !== 'undefined') return AMBIT_SHIPPED.version;
  return textOf(objectOf(JSON.parse(await readFile(PACKAGE, 'utf8')))['version']);
}

/** @throws {@link InstallError} if this copy of the command came without them. */
export async function shipped(): Promise<Shipped> {
  if (typeof AMBIT_SHIPPED !== 'undefined') return AMBIT_SHIPPED;
  try {
    return { version: await shippedVersion(), manifests: await readFile(MANIFESTS, 'utf8') };
  } catch (error) {
    throw new InstallError(`this command has no manifests with it: ${messageOf(error)}`, { cause: error });
  }
}
