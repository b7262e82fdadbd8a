/**
 * The lines of snapshots and journals: a CRC-32 in hexadecimal, a space, JSON, a newline. Pure.
 *
 * What a crash cuts off is at the end, and is dropped. A broken line with whole ones behind it is damage of another
 * kind, which nobody repairs by guessing.
 */
import { crc32 } from 'node:zlib';
import { isObject, type JsonObject, numberAt, textAt } from '../json.ts';
import type { StorageKey } from '../kinds/resource.ts';
import type { Change } from './history.ts';

export interface StoredObject {
  readonly resource: StorageKey;
  readonly key: string;
  readonly object: JsonObject;
}

/** One change, as the journal has it; without an object it is a deletion. */
export interface Entry {
  readonly revision: number;
  readonly resource: StorageKey;
  readonly key: string;
  readonly object: JsonObject | undefined;
}

export function encodeLine(value: JsonObject): Buffer {
  const json = Buffer.from(JSON.stringify(value));
  return Buffer.concat([
    Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} `),
    json,
    Buffer.from('\n'),
  ]);
}

/** `undefined` for a line that is not whole. */
export function decodeLine(line: Buffer): JsonObject | undefined {
  if (line.length < 11 || line[8] !== 0x20) return undefined;
  const json = line.subarray(9);
  if (crc32(json).toString(16).padStart(8, '0') !== line.subarray(0, 8).toString('latin1')) return undefined;
  const value = JSON.parse(json.toString()) as JsonObject;
  return isObject(value) ? value : undefined;
}

export const encodeChange = ({ revision, resource, key, type, object }: Change): Buffer =>
  encodeLine({ r: revision, s: resource, k: key, ...(type !== 'deleted' && { o: object }) });

function entryOf(line: JsonObject): Entry | undefined {
  const [revision, resource, key] = [numberAt(line, 'r'), textAt(line, 's'), textAt(line, 'k')];
  if (revision === undefined || resource === undefined || key === undefined) return undefined;
  const object = line['o'];
  return { revision, resource, key, object: isObject(object) ? object : undefined };
}

export type Lines<T> =
  | {
      readonly whole: true;
      readonly values: readonly T[] /** Where what is good ends. */;
      readonly end: number;
    }
  | { readonly whole: false /** Where it is broken, in bytes. */; readonly at: number };

/** The lines up to what a crash cut off. */
export function readLines(data: Buffer): Lines<JsonObject> {
  const values: JsonObject[] = [];
  let position = 0;
  while (position < data.length) {
    const newline = data.indexOf(0x0a, position);
    const value = newline < 0 ? undefined : decodeLine(data.subarray(position, newline));
    if (!value)
      return hasWholeLine(data, newline)
        ? { whole: false, at: position }
        : { whole: true, values, end: position };
    values.push(value);
    position = newline + 1;
  }
  return { whole: true, values, end: position };
}

/** Whether a line that can be read comes after the newline at `newline`. */
function hasWholeLine(data: Buffer, newline: number): boolean {
  let start = newline + 1;
  while (newline >= 0 && start < data.length) {
    const next = data.indexOf(0x0a, start);
    if (next < 0) return false;
    if (decodeLine(data.subarray(start, next))) return true;
    start = next + 1;
  }
  return false;
}

/** The changes of a journal, in order; numbers that do not grow are damage. */
export function readJournal(data: Buffer): Lines<Entry> {
  const lines = readLines(data);
  if (!lines.whole) return lines;
  const entries: Entry[] = [];
  let last = 0;
  for (const line of lines.values) {
    const entry = entryOf(line);
    if (!entry || entry.revision <= last) return { whole: false, at: 0 };
    last = entry.revision;
    entries.push(entry);
  }
  return { whole: true, values: entries, end: lines.end };
}

export interface Snapshot {
  readonly revision: number;
  readonly objects: readonly StoredObject[];
}

/** In pieces, so that a large one is not two large ones in memory. */
export function* encodeSnapshot(revision: number, objects: Iterable<StoredObject>): Generator<Buffer> {
  let count = 0;
  yield encodeLine({ snapshot: 1, r: revision });
  for (const { resource, key, object } of objects) {
    count += 1;
    yield encodeLine({ s: resource, k: key, o: object });
  }
  yield encodeLine({ end: count });
}

/** `undefined` unless it is whole from its first line to its last. */
export function readSnapshot(data: Buffer): Snapshot | undefined {
  const lines = readLines(data);
  if (!lines.whole || lines.end !== data.length) return undefined;
  const [head, ...rest] = lines.values;
  const tail = rest.pop();
  const revision = numberAt(head, 'r');
  if (numberAt(head, 'snapshot') !== 1 || revision === undefined || numberAt(tail, 'end') !== rest.length)
    return undefined;
  const objects = rest.flatMap((line): StoredObject[] => {
    const [resource, key, object] = [textAt(line, 's'), textAt(line, 'k'), line['o']];
    return resource === undefined || key === undefined || !isObject(object)
      ? []
      : [{ resource, key, object }];
  });
  return objects.length === rest.length ? { revision, objects } : undefined;
}
