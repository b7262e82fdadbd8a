/**
 * Objects as typed Go clients send them since 1.33: Kubernetes' protobuf, turned into the JSON that they mean. Pure.
 *
 * Protobuf does not say what is absent and what is merely zero; as Go's JSON does, zero counts as absent, except where
 * Go has a pointer. Fields of a message that JSON does not know are laid into the object itself, as Go inlines them.
 */
import { badRequest, StatusError } from '../errors.ts';
import { KUBERNETES_TYPES } from '../gen/kubernetes-types.ts';
import { PROTOBUF_MESSAGES } from '../gen/kubernetes-protobuf.ts';
import { isObject, type Json, type JsonObject } from '../json.ts';
import { BUILTIN } from '../kinds/builtin.ts';
import { groupVersionOf } from '../kinds/resource.ts';
import { JSON_DEPTH } from '../limits.ts';
import { bytesOf, integerOf, type WireField, wireFields } from './protobuf-reader.ts';

const MAGIC = Buffer.from('k8s\0');
const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.';

const OTHER_KINDS: Readonly<Record<string, string>> = {
  'authentication.k8s.io/v1 TokenRequest': 'io.k8s.api.authentication.v1.TokenRequest',
  'autoscaling/v1 Scale': 'io.k8s.api.autoscaling.v1.Scale',
  'policy/v1 Eviction': 'io.k8s.api.policy.v1.Eviction',
};

/** @throws a 400 for what cannot be read, a 415 for a kind whose messages are not known. */
export function decodeProtobuf(body: Buffer): JsonObject {
  if (!body.subarray(0, 4).equals(MAGIC))
    throw badRequest('the body of the request does not begin as Kubernetes protobuf does');
  let [apiVersion, kind, raw] = ['', '', Buffer.alloc(0)];
  for (const { number, value } of wireFields(body.subarray(4))) {
    if (number === 2) raw = Buffer.from(bytesOf(value));
    if (number !== 1) continue;
    for (const part of wireFields(bytesOf(value))) {
      if (part.number === 1) apiVersion = bytesOf(part.value).toString();
      if (part.number === 2) kind = bytesOf(part.value).toString();
    }
  }
  const type = typeOfKind(apiVersion, kind);
  if (type === undefined) {
    throw new StatusError(
      'UnsupportedMediaType',
      `no protobuf messages of ${apiVersion} ${kind} are known: send JSON`,
    );
  }
  return { apiVersion, kind, ...decodeMessage(type, raw, JSON_DEPTH) };
}

function typeOfKind(apiVersion: string, kind: string): string | undefined {
  if (kind === 'DeleteOptions') return `${META}DeleteOptions`;
  const resource = BUILTIN.find((each) => each.kind === kind && groupVersionOf(each) === apiVersion);
  const name = resource?.schemaName ?? OTHER_KINDS[`${apiVersion} ${kind}`];
  return name !== undefined && PROTOBUF_MESSAGES[name] !== undefined ? name : undefined;
}

interface Field {
  readonly name: string;
  readonly type: string;
  readonly many: boolean;
  readonly map: boolean;
  readonly pointer: boolean;
}

const layouts = new Map<string, ReadonlyMap<number, Field>>();

function layoutOf(message: string): ReadonlyMap<number, Field> {
  const known = layouts.get(message);
  if (known) return known;
  const fields = (PROTOBUF_MESSAGES[message] ?? '').split(';').map((text): readonly [number, Field] => {
    const [number = '', name = '', words = ''] = text.split(' ');
    const type = words.replace(/^[*%]|\?$/g, '');
    return [
      Number(number),
      { name, type, many: words.startsWith('*'), map: words.startsWith('%'), pointer: words.endsWith('?') },
    ];
  });
  const layout = new Map(fields);
  layouts.set(message, layout);
  return layout;
}

function decodeMessage(message: string, data: Buffer, depth: number): JsonObject {
  if (depth === 0) throw badRequest('the body of the request was refused: nested too deeply');
  const object: JsonObject = {};
  const layout = layoutOf(message);
  for (const { number, value } of wireFields(data)) {
    const field = layout.get(number);
    if (field) put(object, message, field, value, depth);
  }
  return object;
}

function put(
  object: JsonObject,
  message: string,
  field: Field,
  value: WireField['value'],
  depth: number,
): void {
  if (field.map) {
    const [key, item] = decodeEntry(field.type, bytesOf(value), depth);
    const map = object[field.name];
    if (isObject(map)) map[key] = item;
    else object[field.name] = { [key]: item };
    return;
  }
  const decoded = decodeValue(field.type, value, depth);
  if (decoded === undefined) return;
  if (field.many) {
    const list = object[field.name];
    if (Array.isArray(list)) list.push(decoded);
    else object[field.name] = [decoded];
  } else if (isInlined(message, field) && isObject(decoded)) Object.assign(object, decoded);
  else if (field.pointer || !isZero(decoded)) object[field.name] = decoded;
}

const isZero = (value: Json): boolean => value === '' || value === 0 || value === false;

/** A message within a message that JSON writes without a name of its own. */
const isInlined = (message: string, { name, type }: Field): boolean =>
  PROTOBUF_MESSAGES[type] !== undefined &&
  KUBERNETES_TYPES[message] !== undefined &&
  KUBERNETES_TYPES[message].fields[name] === undefined;

function decodeEntry(type: string, data: Buffer, depth: number): readonly [string, Json] {
  let key = '';
  let item: Json | undefined;
  for (const { number, value } of wireFields(data)) {
    if (number === 1) key = bytesOf(value).toString();
    if (number === 2) item = decodeValue(type, value, depth);
  }
  if (key === '__proto__') throw badRequest('a field may not be called __proto__');
  return [key, item ?? (PROTOBUF_MESSAGES[type] === undefined ? '' : {})];
}

/** `undefined` for a time that is not set. */
function decodeValue(type: string, value: WireField['value'], depth: number): Json | undefined {
  switch (type) {
    case 'string':
      return bytesOf(value).toString();
    case 'bytes':
      return bytesOf(value).toString('base64');
    case 'bool':
      return integerOf(value) !== 0;
    case 'int32':
    case 'int64':
      return integerOf(value);
    case 'double':
      return bytesOf(value).readDoubleLE();
    case `${META}Time`:
    case `${META}MicroTime`:
      return decodeTime(bytesOf(value), type.endsWith('MicroTime'));
    case 'io.k8s.apimachinery.pkg.api.resource.Quantity':
      return String(decodeMessage(type, bytesOf(value), depth - 1)['string'] ?? '0');
    case 'io.k8s.apimachinery.pkg.util.intstr.IntOrString': {
      const { type: which, intVal, strVal } = decodeMessage(type, bytesOf(value), depth - 1);
      return which === 1 ? (strVal ?? '') : (intVal ?? 0);
    }
    case 'io.k8s.apimachinery.pkg.runtime.RawExtension':
    case `${META}FieldsV1`:
      return decodeRaw(bytesOf(value));
    default:
      break;
  }
  const decoded = decodeMessage(type, bytesOf(value), depth - 1);
  // Go needs a message to have a list as a value; JSON has the list alone.
  return type.endsWith('.ExtraValue') ? (decoded['items'] ?? []) : decoded;
}

function decodeTime(data: Buffer, micro: boolean): Json | undefined {
  let [seconds, nanos] = [0, 0];
  for (const { number, value } of wireFields(data)) {
    if (number === 1) seconds = integerOf(value);
    if (number === 2) nanos = integerOf(value);
  }
  if (seconds === 0 && nanos === 0) return undefined;
  const date = new Date(seconds * 1_000);
  if (Number.isNaN(date.getTime())) throw badRequest('a time in the body of the request cannot be');
  const whole = date.toISOString().slice(0, 19);
  return micro ? `${whole}.${String(Math.floor(nanos / 1_000)).padStart(6, '0')}Z` : `${whole}Z`;
}

/** JSON in bytes, in a message of one field. */
function decodeRaw(data: Buffer): Json {
  for (const { number, value } of wireFields(data)) {
    if (number !== 1) continue;
    try {
      return JSON.parse(bytesOf(value).toString()) as Json;
    } catch (error) {
      throw badRequest(`JSON inside of the protobuf message cannot be read: ${String(error)}`);
    }
  }
  return {};
}
