/**
 * Notices that files changed, by looking at them every so often.
 *
 * Kubernetes replaces mounted files by turning a symlink, may mount them late, and removes them; a look through the
 * link sees all of that alike, where a kernel watch would follow the old folder.
 */
import { stat } from 'node:fs/promises';
import type { Clock } from '@ambit/core/clock';

export interface FileWatchOptions {
  readonly paths: readonly string[];
  readonly periodMs: number;
  readonly clock: Clock;
  /** Called after any of them changed, appeared or vanished; not for what is there at the start. */
  readonly changed: () => void;
}

/** Watches until disposed of. What is there now is the state that changes are measured from. */
export async function watchFiles(options: FileWatchOptions): Promise<Disposable> {
  let last = await fingerprint(options.paths);
  let looking = false;
  let stopped = false;
  const look = async () => {
    if (looking) return;
    looking = true;
    const next = await fingerprint(options.paths);
    looking = false;
    if (stopped || next === last) return;
    last = next;
    options.changed();
  };
  const timer = options.clock.every(options.periodMs, () => void look());
  return {
    [Symbol.dispose]: () => {
      stopped = true;
      timer.cancel();
    },
  };
}

async function fingerprint(paths: readonly string[]): Promise<string> {
  const all = await Promise.all(
    paths.map((path) =>
      stat(path, { bigint: true }).then(
        ({ dev, ino, size, mtimeNs }) => `${dev}:${ino}:${size}:${mtimeNs}`,
        () => 'absent',
      ),
    ),
  );
  return all.join('\n');
}
