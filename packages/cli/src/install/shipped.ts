/**
 * What comes with this command: its version, and the manifests of that version of the mesh.
 *
 * In a clone both are files beside the sources; in a bundle this module is replaced by one that holds them
 * (`tools/bundle-cli.ts`).
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

const MANIFESTS = new URL('../../../../deploy/manifests/ambit.yaml', import.meta.url);
const PACKAGE = new URL('../../package.json', import.meta.url);

export async function shippedVersion(): Promise<string> {
  return textOf(objectOf(JSON.parse(await readFile(PACKAGE, 'utf8')))['version']);
}

/** @throws {@link InstallError} if this copy of the command came without them. */
export async function shipped(): Promise<Shipped> {
  try {
    return { version: await shippedVersion(), manifests: await readFile(MANIFESTS, 'utf8') };
  } catch (error) {
    throw new InstallError(`this command has no manifests with it: ${messageOf(error)}`, { cause: error });
  }
}
