/**
 * What a cluster's folder says about it, and which slots are taken.
 *
 * A slot is taken by a link, which only one process can make; it counts as free again when the cluster that it names has
 * no folder.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { ProviderError } from '../errors.ts';
import { localSettings, places, SLOTS } from './settings.ts';

export interface ClusterRecord {
  readonly name: string;
  readonly slot: number;
  readonly ipFamily: 'ipv4' | 'dual';
  /** Everything was Ready once. */
  readonly ready: boolean;
  readonly nodes: readonly number[];
  /** The folder of its programs. */
  readonly binaries: string;
}

const SLOTS_FOLDER = '.slots';

export class Records {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  read(name: string): ClusterRecord | undefined {
    try {
      return JSON.parse(readFileSync(join(this.folder, name, 'cluster.json'), 'utf8')) as ClusterRecord;
    } catch {
      return undefined;
    }
  }

  /** Whole or not at all. */
  write(record: ClusterRecord): void {
    const settings = localSettings(record.name, record.slot, record.ipFamily, this.folder);
    const file = places(settings).record;
    mkdirSync(settings.folder, { recursive: true });
    writeFileSync(`${file}.new`, `${JSON.stringify(record, undefined, 1)}\n`);
    renameSync(`${file}.new`, file);
  }

  names(): readonly string[] {
    if (!existsSync(this.folder)) return [];
    return readdirSync(this.folder)
      .filter((name) => !name.startsWith('.'))
      .sort();
  }

  /** The lowest that is free. Makes the cluster's folder. @throws {@link ProviderError} if all are taken. */
  takeSlot(name: string): number {
    const slots = join(this.folder, SLOTS_FOLDER);
    mkdirSync(slots, { recursive: true });
    mkdirSync(join(this.folder, name), { recursive: true });
    for (let slot = 0; slot < SLOTS; slot++) {
      const link = join(slots, String(slot));
      const owner = linkTarget(link);
      if (owner !== undefined && !existsSync(join(this.folder, owner))) rmSync(link, { force: true });
      if (inUse(slot, this.folder)) continue;
      try {
        symlinkSync(name, link);
        return slot;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
    throw new ProviderError(`all ${SLOTS} networks for clusters are taken: ${this.names().join(', ')}`);
  }

  /** The cluster is gone, and its folder with it. */
  releaseSlots(name: string): void {
    const slots = join(this.folder, SLOTS_FOLDER);
    if (!existsSync(slots)) return;
    for (const slot of readdirSync(slots))
      if (linkTarget(join(slots, slot)) === name) rmSync(join(slots, slot), { force: true });
  }
}

function linkTarget(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}

/** This machine has an address of the slot's network, from whatever else it runs. */
function inUse(slot: number, folder: string): boolean {
  const prefix = localSettings('', slot, 'ipv4', folder).families[0].gateway.replace(/\.\d+$/, '.');
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ address }) => address.startsWith(prefix)),
  );
}
