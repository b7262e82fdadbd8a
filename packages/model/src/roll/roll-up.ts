/**
 * Takes the many plain workloads out of a large delta, and makes a roll of them: checked here, once, and decoded by whoever
 * asks for one, when it is asked for.
 *
 * In a roll is what is surely good: a replica (decode/replicas.ts) of a rest that decodes. All else stays in the delta, to be
 * decoded, and refused, as ever: workloads of this node, which are asked for at once; those with a hostname; whatever is
 * not named by its uid, since two might have the same.
 */
import type { ServiceKey } from '../address.ts';
import { decodeAddress } from '../decode/address.ts';
import { takeReplicaApart } from '../decode/replicas.ts';
import type { Interner } from '../intern.ts';
import { MIN_ROLL } from '../limits.ts';
import type { XdsDelta } from '../xds-delta.ts';
import { enter, hashOf, makeHashTable } from './hash-table.ts';
import { addressText, PLACE_NUMBERS, type RollImage } from './image.ts';

/**
 * A delta of addresses that says the same, with a roll if that is worth while.
 *
 * @param delta - Each name is in it once, as the xDS client sees to.
 * @param nodeName - Whose workloads stay out of it; empty: all of them.
 */
export function rollUp(delta: XdsDelta, nodeName: string, interner: Interner): XdsDelta {
  if (nodeName === '' || delta.upserts.length < MIN_ROLL) return delta;
  const writer = new RollWriter(nodeName, interner, delta.upserts.length);
  const upserts = delta.upserts.filter(({ name, value }) => !writer.takes(name, value));
  const roll = writer.finish();
  return roll.count < MIN_ROLL ? delta : { ...delta, upserts, roll };
}

/** What workloads with the same rest have in common, as far as it is asked for. */
interface Kind {
  readonly network: string;
  readonly ownsAddresses: boolean;
  /** Where to note the members of each of its services. */
  readonly members: readonly number[][];
}

class RollWriter {
  readonly #nodeName: string;
  readonly #interner: Interner;
  /** By their rests; `undefined`: stays out. */
  readonly #kinds = new Map<string, Kind | undefined>();
  readonly #members = new Map<ServiceKey, number[]>();
  readonly #values: Uint8Array[] = [];
  readonly #places: Int32Array<SharedArrayBuffer>;
  readonly #byUid: RollImage['byUid'];
  /** Hash and record of each, in turns: how many they are is known at the end. */
  readonly #addresses: number[] = [];
  #sizeBytes = 0;

  constructor(nodeName: string, interner: Interner, atMost: number) {
    this.#nodeName = nodeName;
    this.#interner = interner;
    this.#places = sharedNumbers(atMost * PLACE_NUMBERS);
    this.#byUid = makeHashTable(atMost);
  }

  /** Whether it is in the roll now. */
  takes(name: string, value: Uint8Array): boolean {
    const replica = takeReplicaApart(value);
    if (!replica || replica.own.uid !== name || replica.own.node === this.#nodeName) return false;
    const kind = this.#kindOf(replica.rest, value);
    if (!kind) return false;
    const record = this.#values.push(value) - 1;
    const at = record * PLACE_NUMBERS;
    this.#places[at] = this.#sizeBytes;
    this.#places[at + 1] = value.length;
    this.#places[at + 2] = this.#sizeBytes + replica.uidAt;
    this.#places[at + 3] = name.length;
    this.#sizeBytes += value.length;
    enter(this.#byUid, hashOf(name), record);
    if (kind.ownsAddresses)
      for (const ip of replica.own.addresses)
        this.#addresses.push(hashOf(addressText(kind.network, ip)), record);
    for (const members of kind.members) members.push(record);
    return true;
  }

  finish(): RollImage {
    const bytes = new Uint8Array(new SharedArrayBuffer(this.#sizeBytes));
    for (const [record, value] of this.#values.entries())
      bytes.set(value, this.#places[record * PLACE_NUMBERS]);
    const byAddress = makeHashTable(this.#addresses.length / 2);
    for (let i = 0; i < this.#addresses.length; i += 2)
      enter(byAddress, this.#addresses[i] ?? 0, this.#addresses[i + 1] ?? 0);
    const lists = [...this.#members.values()];
    const starts = sharedNumbers(lists.length + 1);
    for (const [i, list] of lists.entries()) starts[i + 1] = (starts[i] ?? 0) + list.length;
    const members = sharedNumbers(starts[lists.length] ?? 0);
    for (const [i, list] of lists.entries()) members.set(list, starts[i]);
    return {
      count: this.#values.length,
      bytes,
      places: this.#places,
      byUid: this.#byUid,
      byAddress,
      services: [...this.#members.keys()],
      starts,
      members,
    };
  }

  #kindOf(rest: string, value: Uint8Array): Kind | undefined {
    if (this.#kinds.has(rest)) return this.#kinds.get(rest);
    const decoded = decodeAddress(value, this.#interner);
    const isPlain = decoded.kind === 'workload' && decoded.workload.hostname === '';
    const kind = isPlain
      ? {
          network: decoded.workload.network,
          ownsAddresses: decoded.workload.networkMode === 'Standard',
          members: decoded.workload.services.map(({ service }) => this.#membersOf(service)),
        }
      : undefined;
    this.#kinds.set(rest, kind);
    return kind;
  }

  #membersOf(service: ServiceKey): number[] {
    const members = this.#members.get(service) ?? [];
    this.#members.set(service, members);
    return members;
  }
}

function sharedNumbers(count: number): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(count * Int32Array.BYTES_PER_ELEMENT));
}
