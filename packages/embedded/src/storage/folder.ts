/**
 * Objects kept in a folder: a snapshot, and a journal of every change since.
 *
 * A change is written to the journal before it counts, so that it survives the process. When it reaches the disk is the
 * policy's: `always`, before it is answered; `batched`, within 100 ms, so that a power failure may take that much. A
 * write that fails is undone, and the change does not happen. When the disk fails, nothing is written any more: what was
 * kept can be read until somebody has looked at it. Snapshots are written beside the old one and renamed.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Clock, Timer } from '@ambit/core/clock';
import { codeOf, messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { StorageError } from '../errors.ts';
import { JOURNAL_BYTES } from '../limits.ts';
import type { Change } from './history.ts';
import {
  encodeChange,
  encodeSnapshot,
  readJournal,
  readSnapshot,
  type StoredObject,
} from './journal-format.ts';
import { takeLock } from './lock.ts';
import type { ChangeLog, ObjectStore, StoreState } from './store.ts';

export type SyncPolicy = 'always' | 'batched';

const SYNC_MS = 100;

/** @throws {@link StorageError} when another process has the folder, or what it holds is damaged. */
export function openFolder(folder: string, log: Logger): FolderLog {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = takeLock(join(folder, 'lock'));
  try {
    return new FolderLog(folder, lock, log);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

export class FolderLog implements ChangeLog, Disposable, StoreState {
  readonly revision: number;
  readonly objects: readonly StoredObject[];
  readonly #folder: string;
  readonly #lock: Disposable;
  readonly #log: Logger;
  #descriptor: number;
  #size: number;
  #snapshotSize: number;
  #sync: SyncPolicy = 'batched';
  #timer: Timer | undefined;
  #dirty = false;
  #store: ObjectStore | undefined;
  /** Why nothing can be written any more. */
  #broken: string | undefined;

  constructor(folder: string, lock: Disposable, log: Logger) {
    this.#folder = folder;
    this.#lock = lock;
    this.#log = log;
    const snapshot = this.#readSnapshot();
    this.#snapshotSize = snapshot.size;
    this.#descriptor = openSync(this.#journalPath, 'a+', 0o600);
    const { revision, objects, end } = this.#replay(snapshot);
    this.revision = revision;
    this.objects = objects;
    if (end < fstatSync(this.#descriptor).size) {
      log.warn('the end of the journal was cut off by a crash and is dropped', {
        path: this.#journalPath,
        end,
      });
      ftruncateSync(this.#descriptor, end);
      fsyncSync(this.#descriptor);
    }
    this.#size = end;
  }

  /** From here on, snapshots are of `store`, whose changes come through {@link append}. */
  follow(store: ObjectStore, sync: SyncPolicy, clock: Clock): void {
    this.#store = store;
    this.#sync = sync;
    if (sync === 'batched') this.#timer = clock.every(SYNC_MS, () => this.#flush());
  }

  append(change: Change): void {
    if (this.#broken !== undefined) throw new StorageError(this.#journalPath, this.#broken);
    if (this.#size > JOURNAL_BYTES && this.#size > this.#snapshotSize) this.#compact();
    const line = encodeChange(change);
    try {
      writeAll(this.#descriptor, line);
    } catch (error) {
      this.#undo();
      throw new StorageError(this.#journalPath, 'the change cannot be kept', { cause: error });
    }
    this.#dirty = true;
    if (this.#sync === 'always') {
      this.#flush();
      if (this.#broken !== undefined) {
        this.#undo();
        throw new StorageError(this.#journalPath, this.#broken);
      }
    }
    this.#size += line.length;
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#flush();
    closeSync(this.#descriptor);
    this.#lock[Symbol.dispose]();
  }

  get #journalPath(): string {
    return join(this.#folder, 'journal');
  }

  get #snapshotPath(): string {
    return join(this.#folder, 'snapshot');
  }

  #readSnapshot(): {
    readonly revision: number;
    readonly objects: readonly StoredObject[];
    readonly size: number;
  } {
    const data = readIfThere(this.#snapshotPath);
    if (!data) return { revision: 0, objects: [], size: 0 };
    const snapshot = readSnapshot(data);
    if (!snapshot)
      throw new StorageError(
        this.#snapshotPath,
        'the snapshot is damaged; restore it, or remove the folder to start anew',
      );
    return { ...snapshot, size: data.length };
  }

  #replay(snapshot: { readonly revision: number; readonly objects: readonly StoredObject[] }) {
    const journal = readJournal(readFileSync(this.#journalPath));
    if (!journal.whole) {
      throw new StorageError(
        this.#journalPath,
        `the journal is damaged at byte ${journal.at}, with whole changes after it; restore it, or remove the folder to start anew`,
      );
    }
    const byPlace = new Map(snapshot.objects.map((object) => [`${object.resource} ${object.key}`, object]));
    let revision = snapshot.revision;
    for (const entry of journal.values) {
      // Those up to the snapshot are in it: a crash came between writing it and emptying the journal.
      if (entry.revision <= snapshot.revision) continue;
      revision = entry.revision;
      const { resource, key, object } = entry;
      if (object) byPlace.set(`${resource} ${key}`, { resource, key, object });
      else byPlace.delete(`${resource} ${key}`);
    }
    return { revision, objects: [...byPlace.values()], end: journal.end };
  }

  /** Writes everything anew and empties the journal. The change that comes next is not part of it. */
  #compact(): void {
    if (!this.#store) return;
    const { revision, objects } = this.#store.state();
    let size = 0;
    const temporary = `${this.#snapshotPath}.new`;
    try {
      const descriptor = openSync(temporary, 'w', 0o600);
      try {
        for (const piece of encodeSnapshot(revision, objects)) {
          writeAll(descriptor, piece);
          size += piece.length;
        }
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      renameSync(temporary, this.#snapshotPath);
      syncFolder(this.#folder);
      ftruncateSync(this.#descriptor, 0);
      this.#size = 0;
      this.#snapshotSize = size;
    } catch (error) {
      rmSync(temporary, { force: true });
      this.#snapshotSize = this.#size * 2;
      this.#log.error('no snapshot could be written, the journal goes on', { error: messageOf(error) });
    }
  }

  #flush(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    try {
      fsyncSync(this.#descriptor);
    } catch (error) {
      // After a failed fsync nobody knows what is on the disk.
      this.#broken = `the disk failed: ${messageOf(error)}`;
      this.#log.error('the journal can no longer be written', { error: messageOf(error) });
    }
  }

  /** Takes back a change that does not happen, or half of it. */
  #undo(): void {
    try {
      ftruncateSync(this.#descriptor, this.#size);
    } catch (error) {
      this.#broken ??= `half a change is in the journal and cannot be taken back: ${messageOf(error)}`;
    }
  }
}

function writeAll(descriptor: number, data: Buffer): void {
  let written = 0;
  while (written < data.length) written += writeSync(descriptor, data, written);
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new StorageError(path, 'cannot be read', { cause: error });
  }
}

/** A rename is only on the disk when its folder is. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
