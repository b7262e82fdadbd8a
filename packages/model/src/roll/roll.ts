/**
 * Many workloads, each decoded when it is first asked for: a thread's own view of an image that all threads share.
 *
 * What changes is not written into it. A workload that goes, or is told anew, leaves this thread's view; its bytes stay
 * until all have left.
 */
import { MeshError } from '@ambit/core/errors';
import type { ServiceKey } from '../address.ts';
import { decodeAddress } from '../decode/address.ts';
import type { Interner } from '../intern.ts';
import type { Workload } from '../workload.ts';
import { hashOf, recordsAt } from './hash-table.ts';
import { addressText, PLACE_NUMBERS, type RollImage } from './image.ts';

/** A workload that was checked before it was entered cannot be decoded: a fault of ours. */
export class RollError extends MeshError {
  readonly code = 'ROLL';
  readonly side = 'internal';
}

export class Roll {
  readonly #image: RollImage;
  readonly #text: Buffer;
  readonly #interner: Interner;
  readonly #services: ReadonlyMap<ServiceKey, number>;
  /** Those that were asked for. At most all: as much as if all had been decoded at first. */
  readonly #decoded = new Map<number, Workload>();
  /** 1 for each that has left. */
  readonly #left: Uint8Array;
  #size: number;

  constructor(image: RollImage, interner: Interner) {
    this.#image = image;
    this.#text = Buffer.from(image.bytes.buffer, image.bytes.byteOffset, image.bytes.byteLength);
    this.#interner = interner;
    this.#services = new Map(image.services.map((service, i) => [service, i]));
    this.#left = new Uint8Array(image.count);
    this.#size = image.count;
  }

  get size(): number {
    return this.#size;
  }

  has(uid: string): boolean {
    return this.#recordOf(uid) !== undefined;
  }

  get(uid: string): Workload | undefined {
    const record = this.#recordOf(uid);
    return record === undefined ? undefined : this.#workload(record);
  }

  /** Those that own an address, in the order in which they came. */
  at(network: string, ip: string): readonly Workload[] {
    const records = recordsAt(this.#image.byAddress, hashOf(addressText(network, ip)));
    const found: Workload[] = [];
    for (const record of records) {
      if (this.#left[record] === 1) continue;
      const workload = this.#workload(record);
      if (workload.network === network && workload.addresses.includes(ip)) found.push(workload);
    }
    return found;
  }

  /** @param keep - Whether what is decoded for it is kept: for who asks again, and not for who only shows it. */
  *membersOf(service: ServiceKey, keep: boolean): Generator<Workload> {
    const { starts, members } = this.#image;
    const index = this.#services.get(service);
    if (index === undefined) return;
    for (let i = starts[index] ?? 0; i < (starts[index + 1] ?? 0); i++) {
      const record = members[i] ?? 0;
      if (this.#left[record] === 0) yield keep ? this.#workload(record) : this.#shown(record);
    }
  }

  /** That any of them was a member of when they came. */
  services(): Iterable<ServiceKey> {
    return this.#services.keys();
  }

  *uids(): Generator<string> {
    for (let record = 0; record < this.#image.count; record++)
      if (this.#left[record] === 0) yield this.#uid(record);
  }

  /** All of them, without keeping what was decoded for it. */
  *values(): Generator<Workload> {
    for (let record = 0; record < this.#image.count; record++)
      if (this.#left[record] === 0) yield this.#shown(record);
  }

  /** What went, if it was here. */
  remove(uid: string): Workload | undefined {
    const record = this.#recordOf(uid);
    if (record === undefined) return undefined;
    const workload = this.#workload(record);
    this.#leave(record);
    return workload;
  }

  /** Removes those that `gone` has, undecoded; whether there were any. */
  removeAllOf(gone: { has(uid: string): boolean }): boolean {
    const before = this.#size;
    for (let record = 0; record < this.#image.count; record++)
      if (this.#left[record] === 0 && gone.has(this.#uid(record))) this.#leave(record);
    return this.#size < before;
  }

  #leave(record: number): void {
    this.#decoded.delete(record);
    this.#left[record] = 1;
    this.#size -= 1;
  }

  #recordOf(uid: string): number | undefined {
    return recordsAt(this.#image.byUid, hashOf(uid)).find(
      (record) => this.#left[record] === 0 && this.#uid(record) === uid,
    );
  }

  #uid(record: number): string {
    const known = this.#decoded.get(record);
    if (known) return known.uid;
    const from = this.#image.places[record * PLACE_NUMBERS + 2] ?? 0;
    const length = this.#image.places[record * PLACE_NUMBERS + 3] ?? 0;
    return this.#text.toString('latin1', from, from + length);
  }

  #workload(record: number): Workload {
    const known = this.#decoded.get(record);
    if (known) return known;
    const workload = this.#decode(record);
    this.#decoded.set(record, workload);
    return workload;
  }

  #shown(record: number): Workload {
    return this.#decoded.get(record) ?? this.#decode(record);
  }

  #decode(record: number): Workload {
    const { bytes, places } = this.#image;
    const from = places[record * PLACE_NUMBERS] ?? 0;
    const length = places[record * PLACE_NUMBERS + 1] ?? 0;
    const decoded = decodeAddress(bytes.subarray(from, from + length), this.#interner);
    if (decoded.kind === 'workload') return decoded.workload;
    const problem = decoded.kind === 'problem' ? decoded.problem : decoded.kind;
    throw new RollError(`${this.#uid(record)} was a workload and is none: ${problem}`);
  }
}
