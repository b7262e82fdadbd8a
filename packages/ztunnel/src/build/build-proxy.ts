/**
 * Makes ztunnel plain JavaScript: an entry for the control thread, one for the data workers, and what they share or load late.
 *
 * Run from its sources, every thread carries Node's type stripper and hundreds of modules: some 65 MB more in all.
 */
import { join } from 'node:path';
import { bundle } from '@ambit/core/build/bundle';

export interface ProxyBundle {
  /** What `node` is started with. */
  readonly main: string;
}

const SOURCE = new URL('../', import.meta.url).pathname;

/** @param folder - Gets `main.mjs` and `worker/main.mjs`; made if missing. */
export async function buildProxy(folder: string): Promise<ProxyBundle> {
  await bundle({ main: `${SOURCE}main.ts`, 'worker/main': `${SOURCE}worker/main.ts` }, folder);
  return { main: join(folder, 'main.mjs') };
}
