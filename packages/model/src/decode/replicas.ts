/**
 * Takes apart the bytes of a workload that differs from others of its kind only in what each replica has for itself.
 *
 * Most workloads are replicas: all that they say beside name, uid, addresses and node they say with the same bytes. A mesh is
 * read much sooner if that is decoded once. Whatever is not plainly so (text beyond ASCII, encodings that
 * a protobuf writer of today does not choose, anything malformed) is left to those who decode it in full.
 */
import { formatIp } from '@ambit/core/ip';
import { MAX_ADDRESSES, MAX_NAME_LENGTH } from '../limits.ts';
import type { Workload } from '../workload.ts';

/** What a replica has for itself; all of it passes the checks of a decoded workload. */
export type ReplicaOwn = Pick<Workload, 'uid' | 'name' | 'node' | 'addresses'>;

export interface Replica {
  readonly own: ReplicaOwn;
  /** Where in the message the uid begins, which is as many octets long as characters. */
  readonly uidAt: number;
  /** All the rest, as the octets of the wire in Latin-1: equal for workloads that decode to the same. */
  readonly rest: string;
}

/** More than any workload's rest that is worth remembering. */
const MAX_REST_BYTES = 2_048;

const rest = Buffer.allocUnsafeSlow(MAX_REST_BYTES);

/** Of `istio.workload.Address`. */
const WORKLOAD_TAG = 0x0a;
/** Of `istio.workload.Workload`; all of them lengths and octets. */
const FIELD = { name: 1, addresses: 3, node: 9, uid: 20 } as const;
const VARINT = 0;
const LENGTH_DELIMITED = 2;

/** Where the varint ended that was read last. */
let after = 0;

/** `undefined`: not plainly a replica. */
export function takeReplicaApart(message: Uint8Array): Replica | undefined {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  if (bytes[0] !== WORKLOAD_TAG) return undefined;
  if (varint(bytes, 1) !== bytes.length - after) return undefined;
  let uid = '';
  let uidAt = 0;
  let name = '';
  let node = '';
  let addresses: readonly string[] = [];
  let restBytes = 0;
  for (let at = after; at < bytes.length; ) {
    const tag = varint(bytes, at);
    const field = tag >>> 3;
    const wireType = tag & 7;
    if (wireType !== VARINT && wireType !== LENGTH_DELIMITED) return undefined;
    const value = varint(bytes, after);
    const from = after;
    const to = wireType === VARINT ? from : from + value;
    if (value < 0 || tag <= 0 || to > bytes.length) return undefined;
    const isOwn =
      field === FIELD.name || field === FIELD.addresses || field === FIELD.node || field === FIELD.uid;
    if (!isOwn) {
      if (restBytes + to - at > MAX_REST_BYTES) return undefined;
      for (let i = at; i < to; i++) rest[restBytes++] = bytes[i] ?? 0;
    } else if (wireType === VARINT) return undefined;
    else if (field === FIELD.addresses) {
      const ip = formatIp(bytes.subarray(from, to));
      if (ip === undefined || addresses.length === MAX_ADDRESSES) return undefined;
      // Not pushed: that makes room for sixteen more, ten thousand times.
      addresses = [...addresses, ip];
    } else {
      const text = ascii(bytes, from, to);
      if (text === undefined) return undefined;
      if (field === FIELD.name) name = text;
      else if (field === FIELD.node) node = text;
      else {
        uid = text;
        uidAt = from;
      }
    }
    at = to;
  }
  if (uid === '' || addresses.length === 0) return undefined;
  return { own: { uid, name, node, addresses }, uidAt, rest: rest.toString('latin1', 0, restBytes) };
}

/** -1: not one of at most four octets that ends within `bytes`. */
function varint(bytes: Buffer, from: number): number {
  let value = 0;
  for (let i = 0; i < 4; i++) {
    const octet = bytes[from + i];
    if (octet === undefined) break;
    value |= (octet & 0x7f) << (7 * i);
    if (octet < 0x80) {
      after = from + i + 1;
      return value;
    }
  }
  return -1;
}

/** `undefined`: too long for a name, or not ASCII alone. */
function ascii(bytes: Buffer, from: number, to: number): string | undefined {
  if (to - from > MAX_NAME_LENGTH) return undefined;
  for (let i = from; i < to; i++) if ((bytes[i] ?? 0) >= 0x80) return undefined;
  return bytes.toString('latin1', from, to);
}
