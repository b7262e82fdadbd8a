/** Makes a waypoint plain JavaScript: one entry, and what it loads late. */
import { join } from 'node:path';
import { bundle } from '@ambit/core/build/bundle';

export interface WaypointBundle {
  /** What `node` is started with. */
  readonly main: string;
}

const SOURCE = new URL('../', import.meta.url).pathname;

/** @param folder - Gets `main.mjs`; made if missing. */
export async function buildWaypoint(folder: string): Promise<WaypointBundle> {
  await bundle({ main: `${SOURCE}main.ts` }, folder);
  return { main: join(folder, 'main.mjs') };
}
