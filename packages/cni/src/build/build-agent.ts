/** Makes the node agent one file of plain JavaScript. */
import { join } from 'node:path';
import { bundle } from '@ambit/core/build/bundle';

export interface AgentBundle {
  /** What `node` is started with. */
  readonly main: string;
}

const MAIN = new URL('../agent/main.ts', import.meta.url).pathname;

/** @param folder - Gets `main.mjs`; made if missing. */
export async function buildAgent(folder: string): Promise<AgentBundle> {
  await bundle({ main: MAIN }, folder);
  return { main: join(folder, 'main.mjs') };
}
