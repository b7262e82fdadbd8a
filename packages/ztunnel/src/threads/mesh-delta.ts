/**
 * Changes of mesh state on their way from the control thread to the workers, and what a worker does with them.
 *
 * The bytes lie in shared memory once, whatever the number of workers, and so does what finds the workloads of a large one
 * (a roll). What a local file says travels as values in V8's own encoding, since its defaults differ from those of the wire
 * and parsing YAML is slow.
 */
import { deserialize, serialize } from 'node:v8';
import { internWorkload } from '@ambit/model/decode/share';
import type { Interner } from '@ambit/model/intern';
import type { MeshDelta, MeshStore } from '@ambit/model/store';
import { applyXdsDelta, type XdsDelta } from '@ambit/model/xds-delta';
import type { MeshDeltaMessage } from './messages.ts';

/** The type of a delta whose one resource is what a local file says. */
export const LOCAL_FILE_TYPE_URL = 'ambit/local-file';

export function meshDeltaMessage(typeUrl: string, delta: XdsDelta, version: number): MeshDeltaMessage {
  const total = delta.upserts.reduce((sum, { value }) => sum + value.length, 0);
  const bytes = new Uint8Array(new SharedArrayBuffer(total));
  let offset = 0;
  const upserts = delta.upserts.map(({ name, value }) => {
    bytes.set(value, offset);
    const placed = { name, offset, length: value.length };
    offset += value.length;
    return placed;
  });
  const { removed, roll } = delta;
  return { kind: 'mesh-delta', typeUrl, bytes, upserts, removed, roll, version };
}

/** A local file, parsed once: workers get its values. */
export function localFileMessage(delta: MeshDelta, version: number): MeshDeltaMessage {
  const upserts = [{ name: 'file', value: serialize(delta) }];
  return meshDeltaMessage(LOCAL_FILE_TYPE_URL, { upserts, removed: [] }, version);
}

/** Applies what the control thread applies as well; a resource that cannot be read here cannot be read there either. */
export function applyMeshDelta(mesh: MeshStore, message: MeshDeltaMessage, interner: Interner): void {
  const upserts = message.upserts.map(({ name, offset, length }) => ({
    name,
    value: message.bytes.subarray(offset, offset + length),
  }));
  if (message.typeUrl !== LOCAL_FILE_TYPE_URL) {
    applyXdsDelta(mesh, message.typeUrl, { upserts, removed: message.removed, roll: message.roll }, interner);
    return;
  }
  for (const { value } of upserts) {
    const { workloads = [], ...rest } = deserialize(Uint8Array.from(value)) as MeshDelta;
    // The copy has each text as often as it is said, and kinds of objects of its own, for which code would be compiled anew.
    mesh.apply({ ...rest, workloads: workloads.map((workload) => internWorkload(interner, workload)) });
  }
}
