/**
 * What clusters change of this machine for as long as there is one: the first writes down what was, the last to go puts it
 * back. What somebody else has set since then stays as it is.
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
  readonly #watches: string;

  /** @param folder - That of all clusters. */
  constructor(folder: string, watches = WATCHES) {
    this.#folder = folder;
    this.#watches = watches;
  }

  change(cgroups: Pick<Cgroups, 'prepare'>): void {
    this.#raiseWatches();
    const handedOn = cgroups.prepare();
    if (handedOn.length === 0) return;
    const saved = [...new Set([...this.#saved(CONTROLLERS_SAVED), ...handedOn])];
    writeFileSync(join(this.#folder, CONTROLLERS_SAVED), saved.join(' '));
  }

  /**
   * No cluster is left.
   *
   * @throws What could not be put back; the rest has been, and it is tried again the next time.
   */
  async restore(cgroups: Pick<Cgroups, 'restoreRoot'>): Promise<void> {
    const parts = [
      [WATCHES_SAVED, () => this.#restoreWatches()],
      [CONTROLLERS_SAVED, () => cgroups.restoreRoot(this.#saved(CONTROLLERS_SAVED))],
    ] as const;
    const failures: unknown[] = [];
    for (const [file, putBack] of parts) {
      try {
        await putBack();
        rmSync(join(this.#folder, file), { force: true });
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('; '));
  }

  #raiseWatches(): void {
    const current = readFileSync(this.#watches, 'utf8').trim();
    if (Number(current) >= WATCHES_WANTED) return;
    // Written first: whoever is interrupted between the two lines has changed nothing that is not written down.
    writeFileSync(join(this.#folder, WATCHES_SAVED), current);
    writeFileSync(this.#watches, String(WATCHES_WANTED));
  }

  #restoreWatches(): void {
    const [before = ''] = this.#saved(WATCHES_SAVED);
    const isOurs = readFileSync(this.#watches, 'utf8').trim() === String(WATCHES_WANTED);
    if (isOurs && /^[0-9]+$/.test(before)) writeFileSync(this.#watches, before);
  }

  #saved(file: string): readonly string[] {
    const path = join(this.#folder, file);
    if (!existsSync(path)) return [];
    return readFileSync(path, 'utf8')
      .split(/\s+/)
      .filter((word) => word !== '');
  }
}
