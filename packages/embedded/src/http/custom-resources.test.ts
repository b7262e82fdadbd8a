import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type JsonObject, listAt, textAt } from '../json.ts';
import { type EmbeddedApi, startEmbeddedApi } from '../server.ts';
import { requester, type Requester, watching } from '../testing/request.ts';

let folder: string;
let api: EmbeddedApi;
let call: Requester;

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const WIDGETS = '/apis/example.com/v1/namespaces/default/widgets';

const crd = (over: JsonObject = {}): JsonObject => ({
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'widgets', kind: 'Widget', shortNames: ['wd'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: {
          status: {},
          scale: { specReplicasPath: '.spec.size', statusReplicasPath: '.status.size' },
        },
        additionalPrinterColumns: [
          { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
          { name: 'Since', type: 'date', jsonPath: '.metadata.creationTimestamp' },
        ],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                required: ['size'],
                properties: {
                  size: { type: 'integer', minimum: 0 },
                  colour: { type: 'string', default: 'red' },
                  parts: {
                    type: 'array',
                    'x-kubernetes-list-type': 'map',
                    'x-kubernetes-list-map-keys': ['id'],
                    items: {
                      type: 'object',
                      required: ['id'],
                      properties: { id: { type: 'string' }, n: { type: 'integer' } },
                    },
                  },
                },
              },
              status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
            },
          },
        },
      },
      {
        name: 'v1beta1',
        served: true,
        storage: false,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
    ...over,
  },
});

const widget = (name: string, spec: JsonObject): JsonObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  metadata: { name },
  spec,
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embedded-'));
  api = await startEmbeddedApi({ environment: {}, kubeconfigPath: join(folder, 'kubeconfig') });
  call = requester(api, api.adminToken);
  expect((await call('POST', CRDS, crd())).status).toBe(201);
});

afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

test('a definition is established at once, and shows in discovery', async () => {
  const { body } = await call('GET', `${CRDS}/widgets.example.com`);
  expect(body).toMatchObject({
    status: { acceptedNames: { singular: 'widget', listKind: 'WidgetList' }, storedVersions: ['v1'] },
  });
  expect(listAt(body, 'status', 'conditions')).toContainEqual(
    expect.objectContaining({ type: 'Established', status: 'True' }),
  );
  const group = await call('GET', '/apis/example.com');
  expect(group.body).toMatchObject({
    preferredVersion: { version: 'v1' },
    versions: [{ version: 'v1' }, { version: 'v1beta1' }],
  });
  expect(listAt((await call('GET', '/apis/example.com/v1')).body, 'resources')).toMatchObject([
    { name: 'widgets', shortNames: ['wd'] },
    { name: 'widgets/status' },
    { name: 'widgets/scale' },
  ]);
});

test('objects get defaults, lose unknown fields and are checked', async () => {
  const made = await call('POST', WIDGETS, widget('a', { size: 1, sise: 2 }));
  expect(made.headers['warning']).toBe('299 - "unknown field \\"spec.sise\\""');
  expect(made.body['spec']).toEqual({ size: 1, colour: 'red' });
  const bad = await call('POST', WIDGETS, widget('b', { size: -1 }));
  expect(bad.body).toMatchObject({ code: 422, reason: 'Invalid' });
  expect(textAt(bad.body, 'message')).toBe(
    'Widget.example.com "b" is invalid: spec.size: Invalid value: -1: spec.size in body should be greater than or equal to 0',
  );
  const typed = await call('POST', WIDGETS, widget('b', { size: 'one' }));
  expect(textAt(typed.body, 'message')).toContain('spec.size in body must be of type integer: "string"');
  const list = widget('b', { size: 1, parts: { id: 'x' } });
  const strict = await call('POST', `${WIDGETS}?fieldValidation=Strict`, list);
  expect(strict.body).toMatchObject({ code: 422, reason: 'Invalid' });
  expect(textAt(strict.body, 'message')).toContain('spec.parts in body must be of type array: "object"');
});

test('generation counts changes of the specification; status is apart', async () => {
  const { body } = await call('POST', WIDGETS, { ...widget('gen', { size: 1 }), status: { x: 1 } });
  expect(body).toMatchObject({ metadata: { generation: 1 } });
  expect(body['status']).toBeUndefined();
  const put = await call('PUT', `${WIDGETS}/gen`, { ...body, spec: { size: 2 } });
  expect(put.body).toMatchObject({ metadata: { generation: 2 }, spec: { size: 2 } });
  const status = await call('PUT', `${WIDGETS}/gen/status`, {
    ...put.body,
    spec: { size: 9 },
    status: { seen: 2 },
  });
  expect(status.body).toMatchObject({ metadata: { generation: 2 }, spec: { size: 2 }, status: { seen: 2 } });
  const blind = await call('PUT', `${WIDGETS}/gen`, widget('gen', { size: 3 }));
  expect(textAt(blind.body, 'message')).toContain('must be specified for an update');
});

test('scale reads and writes where the definition says', async () => {
  await call('POST', WIDGETS, widget('sc', { size: 1 }));
  const scaled = await call(
    'PATCH',
    `${WIDGETS}/sc/scale`,
    { spec: { replicas: 5 } },
    'application/merge-patch+json',
  );
  expect(scaled.body).toMatchObject({ kind: 'Scale', spec: { replicas: 5 } });
  expect((await call('GET', `${WIDGETS}/sc`)).body).toMatchObject({ spec: { size: 5 } });
});

test('every version shows the same objects', async () => {
  const { body } = await call('GET', `${WIDGETS.replace('/v1/', '/v1beta1/')}/a`);
  expect(body).toMatchObject({ apiVersion: 'example.com/v1beta1', spec: { size: 1 } });
});

test('keyed lists merge by apply, and a strategic patch is refused', async () => {
  const apply = (manager: string, id: string) =>
    call(
      'PATCH',
      `${WIDGETS}/keyed?fieldManager=${manager}`,
      widget('keyed', { size: 1, parts: [{ id, n: 1 }] }),
      'application/apply-patch+yaml',
    );
  await apply('one', 'x');
  expect((await apply('two', 'y')).body['spec']).toMatchObject({
    parts: [
      { id: 'x', n: 1 },
      { id: 'y', n: 1 },
    ],
  });
  const strategic = await call(
    'PATCH',
    `${WIDGETS}/keyed`,
    { spec: {} },
    'application/strategic-merge-patch+json',
  );
  expect(strategic.status).toBe(415);
});

test('tables have the columns of the definition', async () => {
  const { body } = await call('GET', `${WIDGETS}/a`, undefined, undefined, {
    Accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
  });
  expect(listAt(body, 'columnDefinitions').map((column) => textAt(column, 'name'))).toEqual([
    'Name',
    'Size',
    'Since',
  ]);
  expect(listAt(body, 'rows', 0, 'cells')).toEqual(['a', 1, expect.stringMatching(/^\d+s$/)]);
});

test.each<[string, JsonObject, string]>([
  [
    'a name that is not plural and group',
    { names: { plural: 'wodgets', kind: 'Widget' } },
    'must be spec.names.plural+"."+spec.group',
  ],
  [
    'two storage versions',
    { versions: [version('v1'), version('v2')] },
    'exactly one version marked as storage',
  ],
  ['no schema', { versions: [{ name: 'v1', served: true, storage: true }] }, 'schemas are required'],
  ['a conversion webhook', { conversion: { strategy: 'Webhook' } }, 'supported values: "None"'],
])('a definition with %s is refused', async (_, over, message) => {
  const other = await call('POST', `${CRDS}?dryRun=All`, {
    ...crd({ group: 'other.example.com', ...over }),
    metadata: { name: 'widgets.other.example.com' },
  });
  expect(other.body).toMatchObject({ code: 422 });
  expect(textAt(other.body, 'message')).toContain(message);
});

function version(name: string): JsonObject {
  return { name, served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } };
}

test('deleting the definition ends watches and takes the objects along', async () => {
  const { body } = await call('GET', WIDGETS);
  await using watch = await watching(
    api,
    api.adminToken,
    `${WIDGETS}?watch=1&resourceVersion=${textAt(body, 'metadata', 'resourceVersion')}`,
  );
  expect((await call('DELETE', `${CRDS}/widgets.example.com`)).status).toBe(200);
  await expect(watch.next()).rejects.toThrow('the watch ended');
  expect((await call('GET', WIDGETS)).status).toBe(404);
  await call('POST', CRDS, crd());
  expect(listAt((await call('GET', WIDGETS)).body, 'items')).toEqual([]);
});
