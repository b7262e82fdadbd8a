/** Which address of a node's pod network a container has: a file each, made exclusively, so that plugin calls can race. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, LimitError } from '@ambit/core/errors';

/** .0 is the network, .1 the gateway, .255 the broadcast address. */
const FIRST_HOST = 2;
const LAST_HOST = 254;

/** The number of the address within its network; the same again for a container that has one. */
export function claimHost(folder: string, containerId: string): number {
  mkdirSync(folder, { recursive: true });
  const claimed = hostOf(folder, containerId);
  if (claimed !== undefined) return claimed;
  for (let host = FIRST_HOST; host <= LAST_HOST; host++) {
    try {
      writeFileSync(join(folder, String(host)), containerId, { flag: 'wx' });
      return host;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
  }
  throw new LimitError(`addresses in ${folder}`, LAST_HOST - FIRST_HOST + 1, 'pods');
}

export function hostOf(folder: string, containerId: string): number | undefined {
  for (const name of namesIn(folder)) {
    if (readFileSync(join(folder, name), 'utf8') === containerId) return Number(name);
  }
  return undefined;
}

/** Gives the container's address back; nothing happens if it has none. */
export function releaseHost(folder: string, containerId: string): void {
  const host = hostOf(folder, containerId);
  if (host !== undefined) rmSync(join(folder, String(host)), { force: true });
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
