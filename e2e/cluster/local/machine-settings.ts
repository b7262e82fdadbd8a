/**
 * What clusters change of this machine for as long as there is one: the first writes down what was, the last to go puts it
 * back.
 *
 * How many things one user may watch: kubelets and runtimes of all nodes are the same user here, and the kernel's default
 * of 128 is enough for about three nodes. And the controllers that the root of version 2 hands on to groups below it.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cgroups } from './cgroups.ts';

const WATCHES = '/proc/sys/fs/inotify/max_user_instances';
const WATCHES_WANTED = 4_096;
const WATCHES_SAVED = '.max_user_instances';
const CONTROLLERS_SAVED = '.handed-on-controllers';

export class MachineSettings {
  readonly #folder: string;

  /** @param folder - That of all clusters. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  change(cgroups: Cgroups): void {
    this.#raiseWatches();
    const handedOn = cgroups.prepare();
    if (handedOn.length === 0) return;
    const saved = [...new Set([...this.#saved(CONTROLLERS_SAVED), ...handedOn])];
    writeFileSync(join(this.#folder, CONTROLLERS_SAVED), saved.join(' '));
  }

  /** No cluster is left. */
  async restore(cgroups: Cgroups): Promise<void> {
    const [watches] = this.#saved(WATCHES_SAVED);
    if (watches !== undefined) writeFileSync(WATCHES, watches);
    await cgroups.restoreRoot(this.#saved(CONTROLLERS_SAVED));
    for (const file of [WATCHES_SAVED, CONTROLLERS_SAVED]) rmSync(join(this.#folder, file), { force: true });
  }

  #raiseWatches(): void {
    const current = readFileSync(WATCHES, 'utf8').trim();
    if (Number(current) >= WATCHES_WANTED) return;
    // Written first: whoever is interrupted between the two lines has changed nothing that is not written down.
    writeFileSync(join(this.#folder, WATCHES_SAVED), current);
    writeFileSync(WATCHES, String(WATCHES_WANTED));
  }

  #saved(file: string): readonly string[] {
    const path = join(this.#folder, file);
    if (!existsSync(path)) return [];
    return readFileSync(path, 'utf8')
      .split(/\s+/)
      .filter((word) => word !== '');
  }
}
