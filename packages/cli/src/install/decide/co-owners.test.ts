import { describe, expect, test } from '@jest/globals';
import type { KubeObject } from '@ambit/kube/resource';
import type { JsonObject } from '../../json-value.ts';
import { takeOver } from './co-owners.ts';

const entry = (manager: string, fieldsV1: JsonObject, over: JsonObject = {}): JsonObject => ({
  manager,
  operation: 'Update',
  apiVersion: 'apps/v1',
  fieldsType: 'FieldsV1',
  fieldsV1,
  ...over,
});
const applied = (fieldsV1: JsonObject) => entry('us', fieldsV1, { operation: 'Apply' });
const objectWith = (managedFields: readonly JsonObject[] | undefined, kind = 'Deployment') =>
  ({ apiVersion: 'apps/v1', kind, metadata: { name: 'a', managedFields } }) as unknown as KubeObject;

const CONTAINER = 'k:{"name":"a"}';
const spec = (fields: JsonObject): JsonObject => ({ 'f:spec': fields });
const containers = (fields: JsonObject) => spec({ 'f:containers': { [CONTAINER]: fields } });

describe('takeOver', () => {
  const ours = applied(spec({ 'f:replicas': {}, 'f:paused': {} }));
  const cases: Record<string, { entries: readonly JsonObject[]; want: ReturnType<typeof takeOver> }> = {
    'nobody else': { entries: [ours], want: undefined },
    'others own other fields': {
      entries: [ours, entry('hpa', spec({ 'f:minReadySeconds': {} }))],
      want: undefined,
    },
    'what they own besides stays theirs': {
      entries: [ours, entry('edit', spec({ 'f:replicas': {}, 'f:minReadySeconds': {} }))],
      want: {
        owners: [{ manager: 'edit', fields: ['.spec.replicas'] }],
        managedFields: [ours, entry('edit', spec({ 'f:minReadySeconds': {} }))],
      },
    },
    'who has nothing left is forgotten': {
      entries: [entry('edit', spec({ 'f:replicas': {}, 'f:paused': {} })), ours],
      want: {
        owners: [{ manager: 'edit', fields: ['.spec.replicas', '.spec.paused'] }],
        managedFields: [ours],
      },
    },
    'one manager by two ways, and by a subresource': {
      entries: [
        ours,
        entry('edit', spec({ 'f:replicas': {} }), { operation: 'Apply' }),
        entry('edit', spec({ 'f:paused': {} })),
        entry('scale', spec({ 'f:replicas': {} }), { subresource: 'scale' }),
      ],
      want: {
        owners: [
          { manager: 'edit', fields: ['.spec.replicas', '.spec.paused'] },
          { manager: 'scale', fields: ['.spec.replicas'] },
        ],
        managedFields: [ours],
      },
    },
    'what the same name wrote without applying is another’s': {
      entries: [ours, entry('us', spec({ 'f:paused': {} }))],
      want: { owners: [{ manager: 'us', fields: ['.spec.paused'] }], managedFields: [ours] },
    },
    'an item of a list, with a field of it that is not ours': {
      entries: [
        applied(containers({ '.': {}, 'f:image': {} })),
        entry('edit', containers({ '.': {}, 'f:image': {}, 'f:tty': {} })),
      ],
      want: {
        owners: [
          { manager: 'edit', fields: ['.spec.containers[name="a"]', '.spec.containers[name="a"].image'] },
        ],
        managedFields: [
          applied(containers({ '.': {}, 'f:image': {} })),
          entry('edit', containers({ 'f:tty': {} })),
        ],
      },
    },
    'a map of theirs in a place that is not ours itself': {
      entries: [
        applied(spec({ 'f:labels': { 'f:a': {} } })),
        entry('edit', spec({ 'f:labels': { '.': {}, 'f:a': {} } })),
      ],
      want: {
        owners: [{ manager: 'edit', fields: ['.spec.labels.a'] }],
        managedFields: [
          applied(spec({ 'f:labels': { 'f:a': {} } })),
          entry('edit', spec({ 'f:labels': {} })),
        ],
      },
    },
    'an empty place of ours with something of theirs in it': {
      entries: [applied(spec({ 'f:labels': {} })), entry('edit', spec({ 'f:labels': { 'f:a': {} } }))],
      want: undefined,
    },
    'items of a set': {
      entries: [
        applied({ 'f:finalizers': { 'v:"x"': {} } }),
        entry('edit', { 'f:finalizers': { 'v:"x"': {}, 'v:"y"': {} } }),
      ],
      want: {
        owners: [{ manager: 'edit', fields: ['.finalizers[="x"]'] }],
        managedFields: [
          applied({ 'f:finalizers': { 'v:"x"': {} } }),
          entry('edit', { 'f:finalizers': { 'v:"y"': {} } }),
        ],
      },
    },
    'not applied by us': { entries: [entry('edit', spec({ 'f:replicas': {} }))], want: undefined },
  };
  test.each(Object.entries(cases))('%s', (_, { entries, want }) =>
    expect(takeOver(objectWith(entries), 'us')).toEqual(want),
  );

  test('an object without such notes', () => expect(takeOver(objectWith(undefined), 'us')).toBeUndefined());

  test('what the control plane writes at run time stays its own, too', () => {
    const webhook = (...fields: readonly string[]) => ({
      'f:webhooks': { 'k:{"name":"w"}': Object.fromEntries(fields.map((field) => [field, {}])) },
    });
    const ours = applied(webhook('.', 'f:failurePolicy', 'f:rules'));
    const kind = 'ValidatingWebhookConfiguration';
    const istiod = entry('ambit', webhook('f:failurePolicy'));
    expect(takeOver(objectWith([ours, istiod], kind), 'us')).toBeUndefined();
    const edited = entry('edit', webhook('f:failurePolicy', 'f:rules'));
    expect(takeOver(objectWith([ours, edited], kind), 'us')).toEqual({
      owners: [{ manager: 'edit', fields: ['.webhooks[name="w"].rules'] }],
      managedFields: [ours, entry('edit', webhook('f:failurePolicy'))],
    });
  });
});
