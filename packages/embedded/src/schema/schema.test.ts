import { describe, expect, test } from '@jest/globals';
import type { Json, JsonObject } from '../json.ts';
import { builtinSchema } from './builtin-schema.ts';
import { applyDefaults } from './defaults.ts';
import { pruneObject } from './prune.ts';
import { structuralSchema } from './structural.ts';
import { validate } from './validate.ts';

const schemaOf = (source: JsonObject) => structuralSchema(source, 'schema').schema;

const widget = schemaOf({
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      properties: {
        size: { type: 'integer', minimum: 1, maximum: 9 },
        colour: { type: 'string', enum: ['red', 'blue'], default: 'red' },
        name: { type: 'string', pattern: '^[a-z]+$', maxLength: 5, minLength: 2 },
        port: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
        either: {
          type: 'object',
          oneOf: [{ required: ['a'] }, { required: ['b'] }],
          properties: { a: { type: 'string' }, b: { type: 'string' } },
        },
        parts: {
          type: 'array',
          maxItems: 3,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['id'],
          items: {
            type: 'object',
            properties: { id: { type: 'string' }, on: { type: 'boolean', default: true } },
          },
        },
        maybe: { type: 'string', nullable: true, default: 'x' },
      },
    },
  },
});

const widgetOf = (spec: Json): JsonObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  metadata: { name: 'a' },
  spec,
});
const messages = (spec: Json) =>
  validate(widget, { spec }).map(({ field, message }) => `${field}: ${message}`);

describe('validate', () => {
  const cases: Record<string, { spec: Json; want: readonly string[] }> = {
    'what fits has no problem': { spec: { size: 3, port: 'http', either: { a: 'x' } }, want: [] },
    'a required field': { spec: {}, want: ['spec.size: Required value'] },
    'another type': {
      spec: { size: 'x' },
      want: ['spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'],
    },
    'a bound': {
      spec: { size: 10 },
      want: ['spec.size: Invalid value: 10: spec.size in body should be less than or equal to 9'],
    },
    'an enum': {
      spec: { size: 1, colour: 'green' },
      want: ['spec.colour: Unsupported value: "green": supported values: "red", "blue"'],
    },
    'a pattern': {
      spec: { size: 1, name: 'A1' },
      want: ['spec.name: Invalid value: "A1": spec.name in body should match \'^[a-z]+$\''],
    },
    'a length': {
      spec: { size: 1, name: 'abcdef' },
      want: ['spec.name: Too long: may not be more than 5 bytes'],
    },
    'an int-or-string of neither kind': {
      spec: { size: 1, port: true },
      want: [
        'spec.port: Invalid value: "boolean": spec.port in body must be of type integer or string: "boolean"',
      ],
    },
    'one of several, none': {
      spec: { size: 1, either: {} },
      want: [
        'spec.either: Invalid value: {}: spec.either in body must validate one and only one schema (oneOf). Found none valid',
      ],
    },
    'one of several, both': {
      spec: { size: 1, either: { a: '', b: '' } },
      want: [
        'spec.either: Invalid value: {"a":"","b":""}: spec.either in body must validate one and only one schema (oneOf). Found 2 valid',
      ],
    },
    'the same key twice': {
      spec: { size: 1, parts: [{ id: 'a' }, { id: 'a', on: false }] },
      want: ['spec.parts[1]: Duplicate value: {"id":"a"}'],
    },
    'too many items': {
      spec: { size: 1, parts: [{}, {}, {}, {}] },
      want: ['spec.parts: Too many: 4: must have at most 3 items'],
    },
    'a value of a map': {
      spec: { size: 1, labels: { a: 1 } },
      want: [
        'spec.labels.a: Invalid value: "integer": spec.labels.a in body must be of type string: "integer"',
      ],
    },
    'null where it is not allowed': {
      spec: { size: null },
      want: ['spec.size: Invalid value: "null": spec.size in body must be of type integer: "null"'],
    },
  };
  test.each(Object.entries(cases))('%s', (_, { spec, want }) => expect(messages(spec)).toEqual(want));

  test('built-in types know quantities, times and 32-bit numbers', () => {
    const pod = builtinSchema('io.k8s.api.core.v1.Pod');
    const container = (extra: JsonObject): JsonObject => ({
      spec: { containers: [{ name: 'c', ...extra }] },
    });
    expect(
      validate(pod, container({ resources: { limits: { cpu: '100m', memory: '1.5Gi', x: 3 } } })),
    ).toEqual([]);
    expect(validate(pod, container({ resources: { limits: { cpu: 'much' } } }))).toHaveLength(1);
    expect(validate(pod, { metadata: { creationTimestamp: 'yesterday' } })[0]?.field).toBe(
      'metadata.creationTimestamp',
    );
    expect(validate(pod, container({ ports: [{ containerPort: 3_000_000_000 }] }))).toHaveLength(1);
  });
});

describe('pruneObject', () => {
  test('drops and names what the schema does not know', () => {
    const { object, unknown } = pruneObject(
      widget,
      widgetOf({ size: 1, sise: 2, free: { any: { thing: 1 } }, parts: [{ id: 'a', x: 1 }] }),
      { dropNulls: false },
    );
    expect(object).toEqual(widgetOf({ size: 1, free: { any: { thing: 1 } }, parts: [{ id: 'a' }] }));
    expect(unknown).toEqual(['spec.sise', 'spec.parts[0].x']);
  });

  test('what is of the wrong type is left for validation to name', () => {
    const wrong = widgetOf({ size: { big: 1 }, parts: { id: 'a' } });
    const { object, unknown } = pruneObject(widget, wrong, { dropNulls: false });
    expect([object, unknown]).toEqual([wrong, []]);
    expect(validate(widget, object).map(({ field, reason }) => [field, reason])).toEqual(
      expect.arrayContaining([
        ['spec.size', 'FieldValueTypeInvalid'],
        ['spec.parts', 'FieldValueTypeInvalid'],
      ]),
    );
  });

  test('metadata is checked whatever the schema says', () => {
    const { object, unknown } = pruneObject(
      widget,
      { metadata: { name: 'a', colour: 'x', labels: null } },
      { dropNulls: false },
    );
    expect(object).toEqual({ metadata: { name: 'a' } });
    expect(unknown).toEqual(['metadata.colour']);
  });

  test('nulls of built-in kinds are absent fields', () => {
    const pod = builtinSchema('io.k8s.api.core.v1.Pod');
    expect(
      pruneObject(pod, { spec: { nodeName: null, containers: null } }, { dropNulls: true }).object,
    ).toEqual({ spec: {} });
  });
});

test('defaults fill what is missing, and a null only where null is not allowed', () => {
  const value = {
    spec: { size: 1, colour: null, maybe: null, parts: [{ id: 'a' }, { id: 'b', on: false }] },
  };
  applyDefaults(widget, value);
  expect(value).toEqual({
    spec: {
      size: 1,
      colour: 'red',
      maybe: null,
      parts: [
        { id: 'a', on: true },
        { id: 'b', on: false },
      ],
    },
  });
});

test('what cannot be a schema is named with its place', () => {
  const { problems } = structuralSchema(
    {
      type: 'object',
      properties: {
        a: { type: 'strange' },
        b: { type: 'string', pattern: '(' },
        c: 3,
        d: { type: 'array', 'x-kubernetes-list-type': 'map' },
      },
    },
    's',
  );
  expect(problems.map(({ path }) => path)).toEqual([
    's.properties[a].type',
    's.properties[b].pattern',
    's.properties[c]',
    's.properties[d].x-kubernetes-list-map-keys',
  ]);
});
