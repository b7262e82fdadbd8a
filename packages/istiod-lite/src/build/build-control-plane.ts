/** Makes the control plane one file of plain JavaScript. */
import { join } from 'node:path';
import { bundle } from '@ambit/core/build/bundle';

export interface ControlPlaneBundle {
  /** What `node` is started with. */
  readonly main: string;
}

const MAIN = new URL('../main.ts', import.meta.url).pathname;

/** @param folder - Gets `main.mjs`; made if missing. */
export async function buildControlPlane(folder: string): Promise<ControlPlaneBundle> {
  await bundle({ main: MAIN }, folder);
  return { main: join(folder, 'main.mjs') };
}
