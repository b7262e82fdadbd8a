/**
 * The one setting of this machine that clusters need changed: how many things one user may watch.
 *
 * Kubelets and runtimes of all nodes are the same user here, and the kernel's default of 128 is enough for about three
 * nodes. The first cluster raises it and writes down what it was; the last one to go puts that back.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SETTING = '/proc/sys/fs/inotify/max_user_instances';
const WANTED = 4_096;
const SAVED = '.max_user_instances';

export function raiseLimits(stateFolder: string): void {
  const current = readFileSync(SETTING, 'utf8').trim();
  if (Number(current) >= WANTED) return;
  // Written first: whoever is interrupted between the two lines has changed nothing that is not written down.
  writeFileSync(join(stateFolder, SAVED), current);
  writeFileSync(SETTING, String(WANTED));
}

/** Nobody is left who needs them. */
export function restoreLimits(stateFolder: string): void {
  const saved = join(stateFolder, SAVED);
  if (!existsSync(saved)) return;
  writeFileSync(SETTING, readFileSync(saved, 'utf8'));
  rmSync(saved);
}
