import { describe, expect, test } from '@jest/globals';
import { type JsonObject, listAt, objectAt } from '../json.ts';
import { ResourceRegistry } from '../kinds/registry.ts';
import type { Resource } from '../kinds/resource.ts';
import { type Applied, applyPatch } from './apply.ts';
import { trackUpdate } from './managed-fields.ts';

const registry = new ResourceRegistry();
const resourceOf = (group: string, plural: string): Resource => {
  const resource = registry.get(group, 'v1', plural);
  if (!resource) throw new Error(plural);
  return resource;
};
const configMaps = resourceOf('', 'configmaps');
const deployments = resourceOf('apps', 'deployments');

const configMap = (data: Record<string, string>): JsonObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'a' },
  data,
});

const apply = (
  live: JsonObject | undefined,
  patch: JsonObject,
  manager: string,
  force = false,
  resource = configMaps,
): Applied => applyPatch(resource, live, patch, { manager, subresource: '', force, nowMs: 1_000 });

const managers = (object: JsonObject) =>
  Object.fromEntries(
    listAt(object, 'metadata', 'managedFields').map((entry) => [
      `${String(objectAt(entry)['manager'])}/${String(objectAt(entry)['operation'])}`,
      objectAt(entry)['fieldsV1'],
    ]),
  );

describe('applyPatch', () => {
  test('the first manager owns what it names', () => {
    const { object } = apply(undefined, configMap({ x: '1' }), 'one');
    expect(object['data']).toEqual({ x: '1' });
    expect(managers(object)).toEqual({ 'one/Apply': { 'f:data': { 'f:x': {} } } });
  });

  test('what it no longer names goes', () => {
    const first = apply(undefined, configMap({ x: '1', y: '2' }), 'one').object;
    expect(apply(first, configMap({ x: '1' }), 'one').object['data']).toEqual({ x: '1' });
  });

  test('what another has too stays', () => {
    const first = apply(undefined, configMap({ x: '1', y: '2' }), 'one').object;
    const shared = apply(first, configMap({ y: '2' }), 'two').object;
    const left = apply(shared, configMap({ x: '1' }), 'one').object;
    expect(left['data']).toEqual({ x: '1', y: '2' });
    expect(managers(left)).toEqual({
      'one/Apply': { 'f:data': { 'f:x': {} } },
      'two/Apply': { 'f:data': { 'f:y': {} } },
    });
  });

  test('another value is a conflict that names the manager and the field', () => {
    const first = apply(undefined, configMap({ x: '1' }), 'one').object;
    expect(apply(first, configMap({ x: '2' }), 'two').conflicts).toEqual([
      { manager: '"one"', field: '.data.x' },
    ]);
  });

  test('force takes the field', () => {
    const first = apply(undefined, configMap({ x: '1', y: '1' }), 'one').object;
    const taken = apply(first, configMap({ x: '2' }), 'two', true).object;
    expect(taken['data']).toEqual({ x: '2', y: '1' });
    expect(managers(taken)).toEqual({
      'one/Apply': { 'f:data': { 'f:y': {} } },
      'two/Apply': { 'f:data': { 'f:x': {} } },
    });
  });

  test('the same again changes nothing, not even a time', () => {
    const first = apply(undefined, configMap({ x: '1' }), 'one').object;
    const again = applyPatch(configMaps, first, configMap({ x: '1' }), {
      manager: 'one',
      subresource: '',
      force: false,
      nowMs: 99_000,
    });
    expect(again.object).toEqual(first);
  });

  test('what an update changed conflicts with a later apply', () => {
    const first = apply(undefined, configMap({ x: '1' }), 'one').object;
    const edited: JsonObject = { ...first, data: { x: '9' } };
    trackUpdate(configMaps, edited, first, 'kubectl-edit', '', 5_000);
    expect(managers(edited)).toEqual({ 'kubectl-edit/Update': { 'f:data': { 'f:x': {} } } });
    const { conflicts } = apply(edited, configMap({ x: '1' }), 'one');
    expect(conflicts).toEqual([
      { manager: '"kubectl-edit" using v1 at 1970-01-01T00:00:05Z', field: '.data.x' },
    ]);
  });

  test.each([
    ['what a client writes into managedFields counts', (entry: JsonObject) => entry, ['one/Apply']],
    [
      'what cannot be read of it does not',
      (entry: JsonObject) => ({ ...entry, fieldsType: 'FieldsV2' }),
      ['one/Apply', 'two/Apply'],
    ],
  ])('%s', (_, changed, want) => {
    const first = apply(undefined, configMap({ x: '1' }), 'one').object;
    const shared = apply(first, configMap({ x: '1' }), 'two').object;
    const [ours] = listAt(shared, 'metadata', 'managedFields').map((entry) => objectAt(entry));
    const metadata = { ...objectAt(shared, 'metadata'), managedFields: [changed(ours ?? {})] };
    const edited: JsonObject = { ...shared, metadata };
    trackUpdate(configMaps, edited, shared, 'mine', '', 5_000);
    expect(Object.keys(managers(edited))).toEqual(want);
  });

  const deployment = (containers: JsonObject[], extra: JsonObject = {}): JsonObject => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd' },
    spec: { template: { spec: { containers } }, ...extra },
  });

  test('items of keyed lists are owned apart', () => {
    const one = apply(undefined, deployment([{ name: 'a', image: 'a:1' }]), 'one', false, deployments).object;
    const two = apply(one, deployment([{ name: 'b', image: 'b:1' }]), 'two', false, deployments);
    expect(two.conflicts).toEqual([]);
    expect(objectAt(two.object, 'spec', 'template', 'spec')['containers']).toEqual([
      { name: 'a', image: 'a:1' },
      { name: 'b', image: 'b:1' },
    ]);
    const gone = apply(two.object, deployment([]), 'two', false, deployments).object;
    expect(objectAt(gone, 'spec', 'template', 'spec')['containers']).toEqual([{ name: 'a', image: 'a:1' }]);
  });

  test('a conflict within a list names the item', () => {
    const one = apply(undefined, deployment([{ name: 'a', image: 'a:1' }]), 'one', false, deployments).object;
    const { conflicts } = apply(one, deployment([{ name: 'a', image: 'a:2' }]), 'two', false, deployments);
    expect(conflicts).toEqual([
      { manager: '"one"', field: '.spec.template.spec.containers[name="a"].image' },
    ]);
  });

  test('ports are told apart by protocol too, with its default', () => {
    const ports = (...list: JsonObject[]) => deployment([{ name: 'a', ports: list }]);
    const one = apply(undefined, ports({ containerPort: 53 }), 'one', false, deployments).object;
    const two = apply(one, ports({ containerPort: 53, protocol: 'UDP' }), 'two', false, deployments).object;
    expect(listAt(two, 'spec', 'template', 'spec', 'containers', 0, 'ports')).toEqual([
      { containerPort: 53 },
      { containerPort: 53, protocol: 'UDP' },
    ]);
  });

  test('atomic lists and maps are replaced as one', () => {
    const args = (...list: string[]) => deployment([{ name: 'a', args: list }]);
    const one = apply(undefined, args('x', 'y'), 'one', false, deployments).object;
    const next = apply(one, args('z'), 'one', false, deployments).object;
    expect(listAt(next, 'spec', 'template', 'spec', 'containers', 0, 'args')).toEqual(['z']);
  });
});
