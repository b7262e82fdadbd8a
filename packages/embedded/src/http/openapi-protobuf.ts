/**
 * The OpenAPI version 2 document in the protobuf form that kubectl reads (`openapi.v2.Document`). Pure.
 *
 * Only the fields that {@link openApiV2} writes are known here; each message is one function.
 */
import { stringify } from 'yaml';
import {
  isObject,
  type Json,
  type JsonObject,
  listAt,
  numberAt,
  objectAt,
  textAt,
  textsAt,
} from '../json.ts';

type Part = Buffer;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

const bytes = (field: number, value: Buffer): Part =>
  Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);
const message = (field: number, parts: readonly Part[]): Part => bytes(field, Buffer.concat(parts));
const text = (field: number, value: string | undefined): readonly Part[] =>
  value === undefined || value === '' ? [] : [bytes(field, Buffer.from(value))];
const flag = (field: number, value: boolean): readonly Part[] =>
  value ? [varint(field * 8), varint(1)] : [];

function double(field: number, value: number | undefined): readonly Part[] {
  if (value === undefined) return [];
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleLE(value);
  return [varint(field * 8 + 1), buffer];
}

const whole = (field: number, value: number | undefined): readonly Part[] =>
  value === undefined || value < 0 ? [] : [varint(field * 8), varint(value)];

/** `Any`: its YAML. */
const anything = (value: Json): readonly Part[] => text(2, stringify(value));

/** A map as the schema of maps here has it: a list of name and value. */
const named = (
  field: number,
  entries: JsonObject,
  encode: (value: JsonObject) => readonly Part[],
): readonly Part[] =>
  Object.entries(entries).map(([name, value]) =>
    message(field, [...text(1, name), message(2, encode(isObject(value) ? value : {}))]),
  );

const extensions = (field: number, value: JsonObject): readonly Part[] =>
  Object.entries(value)
    .filter(([key]) => key.startsWith('x-'))
    .map(([key, extension]) => message(field, [...text(1, key), message(2, anything(extension))]));

export function openApiV2Protobuf(document: JsonObject): Buffer {
  return Buffer.concat([
    ...text(1, textAt(document, 'swagger')),
    message(2, [
      ...text(1, textAt(document, 'info', 'title')),
      ...text(2, textAt(document, 'info', 'version')),
    ]),
    message(8, named(2, objectAt(document, 'paths'), pathItem)),
    message(9, named(1, objectAt(document, 'definitions'), schema)),
  ]);
}

function schema(value: JsonObject): readonly Part[] {
  const { additionalProperties, items, properties, type } = value;
  return [
    ...text(1, textAt(value, '$ref')),
    ...text(2, textAt(value, 'format')),
    ...text(4, textAt(value, 'description')),
    ...(value['default'] === undefined ? [] : [message(5, anything(value['default']))]),
    ...double(7, numberAt(value, 'maximum')),
    ...double(9, numberAt(value, 'minimum')),
    ...whole(11, numberAt(value, 'maxLength')),
    ...whole(12, numberAt(value, 'minLength')),
    ...text(13, textAt(value, 'pattern')),
    ...whole(14, numberAt(value, 'maxItems')),
    ...whole(15, numberAt(value, 'minItems')),
    ...textsAt(value, 'required').flatMap((name) => text(19, name)),
    ...listAt(value, 'enum').map((each) => message(20, anything(each))),
    ...(isObject(additionalProperties) ? [message(21, [message(1, schema(additionalProperties))])] : []),
    ...(additionalProperties === true ? [message(21, flag(2, true))] : []),
    ...(typeof type === 'string' && type !== '' ? [message(22, text(1, type))] : []),
    ...(isObject(items) ? [message(23, [message(1, schema(items))])] : []),
    ...(isObject(properties) ? [message(25, named(1, properties, schema))] : []),
    ...extensions(31, value),
  ];
}

const METHODS = { get: 2, put: 3, post: 4, delete: 5, patch: 8 };

function pathItem(value: JsonObject): readonly Part[] {
  return [
    ...Object.entries(METHODS).flatMap(([method, field]) => {
      const operation = value[method];
      return isObject(operation) ? [message(field, operationParts(operation))] : [];
    }),
    ...parameters(9, value),
  ];
}

const operationParts = (value: JsonObject): readonly Part[] => [
  ...parameters(8, value),
  message(9, [message(1, [...text(1, '200'), message(2, [message(1, text(1, 'OK'))])])]),
  ...extensions(13, value),
];

/** Query and path parameters; each is wrapped twice, by what it could have been instead. */
function parameters(field: number, value: JsonObject): readonly Part[] {
  return listAt(value, 'parameters')
    .filter(isObject)
    .map((parameter) => {
      const inPath = parameter['in'] === 'path';
      const body = [
        ...flag(1, inPath),
        ...text(2, textAt(parameter, 'in')),
        ...text(4, textAt(parameter, 'name')),
        ...text(inPath ? 5 : 6, textAt(parameter, 'type')),
      ];
      return message(field, [message(1, [message(2, [message(inPath ? 4 : 3, body)])])]);
    });
}
