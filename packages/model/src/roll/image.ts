/**
 * What a roll is made of: workloads as the bytes that they came in, and what finds them. All of it lies in memory that
 * threads share, but for the services' names.
 */
import type { ServiceKey } from '../address.ts';
import type { HashTable } from './hash-table.ts';

export interface RollImage {
  /** How many workloads; each has a number from 0. */
  readonly count: number;
  /** Resources, each an `istio.workload.Address` that decodes to a workload. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** Four of each workload: where its bytes begin, how many they are, where in all of them its uid begins, how long that is. */
  readonly places: Int32Array<SharedArrayBuffer>;
  readonly byUid: HashTable;
  /** By {@link addressText}, of the addresses that are a workload's own. */
  readonly byAddress: HashTable;
  /** That any of them is a member of. */
  readonly services: readonly ServiceKey[];
  /** `members` from `starts[i]` to `starts[i + 1]` are of `services[i]`. */
  readonly starts: Int32Array<SharedArrayBuffer>;
  readonly members: Int32Array<SharedArrayBuffer>;
}

/** Numbers in `places` of one workload. */
export const PLACE_NUMBERS = 4;

/** What an address is hashed as. */
export function addressText(network: string, ip: string): string {
  return `${network}/${ip}`;
}
