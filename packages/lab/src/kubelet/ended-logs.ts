/** What containers printed that are gone. A program that has ended is often the one that somebody asks about. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_ENDED_LOGS } from './limits.ts';

/** Whose output it is. */
export interface LogOwner {
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  readonly container: string;
  readonly node: string;
}

export interface ContainerLog extends LogOwner {
  readonly text: Buffer;
}

export class EndedLogs {
  readonly #folder: string;
  readonly #kept: (LogOwner & { readonly path: string })[] = [];

  /** @param folder - For it alone. */
  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /** Nothing is kept of a container that printed nothing; the oldest goes when there are too many. */
  keep({ text, ...owner }: ContainerLog): void {
    if (text.length === 0) return;
    const path = join(this.#folder, `${owner.uid}.${owner.container}.log`);
    writeFileSync(path, text, { mode: 0o600 });
    this.#kept.push({ ...owner, path });
    if (this.#kept.length <= MAX_ENDED_LOGS) return;
    const oldest = this.#kept.shift();
    if (oldest) rmSync(oldest.path, { force: true });
  }

  /** Oldest first. */
  all(): readonly ContainerLog[] {
    return this.#kept.map(({ path, ...owner }) => ({ ...owner, text: readFileSync(path) }));
  }
}
