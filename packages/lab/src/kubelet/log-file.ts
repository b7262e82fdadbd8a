/** The output of one container: kept in a file, bounded, and told to whoever follows. */
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { MAX_LOG_BYTES } from './limits.ts';

export class LogFile {
  readonly path: string;
  readonly #followers = new Set<(chunk: Buffer) => void>();
  #fd: number | undefined;
  #size: number;

  constructor(path: string) {
    this.path = path;
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(path, 'a', 0o600);
    this.#size = statSync(path).size;
  }

  append(chunk: Buffer): void {
    if (this.#fd === undefined) return;
    if (this.#size + chunk.length > MAX_LOG_BYTES) this.#rotate();
    writeSync(this.#fd, chunk);
    this.#size += chunk.length;
    for (const follower of this.#followers) follower(chunk);
  }

  /** What is kept, oldest first; a file that was rotated away comes before. */
  read(): Buffer {
    return Buffer.concat([`${this.path}.1`, this.path].map(readIfThere));
  }

  follow(follower: (chunk: Buffer) => void): Disposable {
    this.#followers.add(follower);
    return { [Symbol.dispose]: () => void this.#followers.delete(follower) };
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #rotate(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    renameSync(this.path, `${this.path}.1`);
    this.#fd = openSync(this.path, 'a', 0o600);
    this.#size = 0;
  }
}

function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

/** The last `count` lines. */
export function lastLines(text: Buffer, count: number): Buffer {
  const lines = text.toString('latin1').split('\n');
  const unfinished = lines.pop() ?? '';
  const all = [...lines.map((line) => `${line}\n`), ...(unfinished === '' ? [] : [unfinished])];
  return Buffer.from(count === 0 ? '' : all.slice(-count).join(''), 'latin1');
}
