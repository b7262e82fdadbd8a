import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { WATCH_END_MS } from '../limits.ts';
import { type JsonObject, listAt, objectAt, textAt } from '../json.ts';
import { type EmbeddedApi, startEmbeddedApi } from '../server.ts';
import { type Answer, linesOf, open, requester, type Requester, watching } from '../testing/request.ts';

let folder: string;
let api: EmbeddedApi;
let call: Requester;
let firstVersion: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embedded-'));
  // Who reads late here does not read in vain, however long the machine takes until then.
  const clock: Clock = {
    ...systemClock,
    after: (ms, run) => systemClock.after(ms === WATCH_END_MS ? 3_600_000 : ms, run),
  };
  api = await startEmbeddedApi({ environment: {}, kubeconfigPath: join(folder, 'kubeconfig'), clock });
  call = requester(api, api.adminToken);
  firstVersion = textAt((await call('GET', '/api/v1/namespaces')).body, 'metadata', 'resourceVersion') ?? '';
});

afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

const MAPS = '/api/v1/namespaces/default/configmaps';
const PODS = '/api/v1/namespaces/default/pods';

async function eventually(check: () => Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 2_500; i++) {
    if (await check()) return;
    await sleep(10);
  }
  throw new Error(`not within 25 s: ${what}`);
}

const gone = (path: string) => async () => (await call('GET', path)).status === 404;
const configMap = (name: string, more: JsonObject = {}): JsonObject => ({ metadata: { name, ...more } });
const pod = (name: string, spec: JsonObject = {}, metadata: JsonObject = {}): JsonObject => ({
  metadata: { name, ...metadata },
  spec: { containers: [{ name: 'c', image: 'x:1' }], ...spec },
});
const versionOf = ({ body }: Answer): string => textAt(body, 'metadata', 'resourceVersion') ?? '';
const uidOf = ({ body }: Answer): string => textAt(body, 'metadata', 'uid') ?? '';

describe('watch', () => {
  test('goes on from a resourceVersion, and sees objects enter and leave its selection', async () => {
    const { body } = await call('GET', MAPS);
    const since = textAt(body, 'metadata', 'resourceVersion') ?? '';
    await using watch = await watching(
      api,
      api.adminToken,
      `${MAPS}?watch=1&resourceVersion=${since}&labelSelector=on%3Dyes`,
    );
    await call('POST', MAPS, configMap('w1'));
    await call('POST', MAPS, configMap('w2', { labels: { on: 'yes' } }));
    const label = (name: string, on: string) =>
      call('PATCH', `${MAPS}/${name}`, { metadata: { labels: { on } } }, 'application/merge-patch+json');
    await label('w1', 'yes');
    await label('w1', 'no');
    await call('DELETE', `${MAPS}/w2`);
    const seen: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      const event = await watch.next();
      seen.push([event['type'], textAt(event, 'object', 'metadata', 'name')]);
    }
    expect(seen).toEqual([
      ['ADDED', 'w2'],
      ['ADDED', 'w1'],
      ['DELETED', 'w1'],
      ['DELETED', 'w2'],
    ]);
  });

  test('without a resourceVersion begins with what is there', async () => {
    await call('POST', MAPS, configMap('here', { labels: { here: 'yes' } }));
    await using watch = await watching(api, api.adminToken, `${MAPS}?watch=true&labelSelector=here`);
    expect(await watch.next()).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'here' } } });
  });

  test('a watch list says where the initial events end', async () => {
    const query =
      'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&labelSelector=none';
    await using watch = await watching(api, api.adminToken, `${MAPS}?${query}`);
    expect(await watch.next()).toMatchObject({
      type: 'BOOKMARK',
      object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
    });
  });

  test('ends by its timeout, with a bookmark for those who asked', async () => {
    const { body } = await call('GET', MAPS);
    const since = textAt(body, 'metadata', 'resourceVersion') ?? '';
    await using watch = await watching(
      api,
      api.adminToken,
      `${MAPS}?watch=true&resourceVersion=${since}&timeoutSeconds=1&allowWatchBookmarks=true`,
    );
    expect(await watch.next()).toMatchObject({ type: 'BOOKMARK', object: { kind: 'ConfigMap' } });
    await expect(watch.next()).rejects.toThrow('the watch ended');
  });

  test.each(['1', '9007199254740000'])('version %s is told to list again', async (version) => {
    await using watch = await watching(api, api.adminToken, `${MAPS}?watch=true&resourceVersion=${version}`);
    expect(await watch.next()).toMatchObject({ type: 'ERROR', object: { code: 410, reason: 'Expired' } });
  });
});

describe('a watcher that does not read', () => {
  const path = '/api/v1/namespaces/kube-public/configmaps';
  const text = 'x'.repeat(1_000_000);
  const change = (i: number) =>
    call('PATCH', `${path}/kube-root-ca.crt`, { data: { text, i: `${i}` } }, 'application/merge-patch+json');

  async function stalledWatch(): Promise<AsyncGenerator<JsonObject>> {
    const since = textAt((await call('GET', path)).body, 'metadata', 'resourceVersion') ?? '';
    const response = await open(api, api.adminToken, 'GET', `${path}?watch=1&resourceVersion=${since}`);
    response.pause();
    return (async function* () {
      for await (const line of linesOf(response)) yield JSON.parse(line) as JsonObject;
    })();
  }

  test('misses nothing while history covers what it has not read', async () => {
    const events = await stalledWatch();
    for (let i = 0; i < 24; i++) await change(i);
    for (let i = 0; i < 24; i++) {
      const { value } = (await events.next()) as { value: JsonObject };
      expect([value['type'], textAt(value, 'object', 'data', 'i')]).toEqual(['MODIFIED', `${i}`]);
    }
    await events.return(undefined);
  });

  test('is told to list again once history has moved on', async () => {
    const events = await stalledWatch();
    for (let i = 0; i < 90; i++) await change(i);
    const seen: JsonObject[] = [];
    for await (const event of events) seen.push(event);
    expect(seen.at(-1)).toMatchObject({ type: 'ERROR', object: { code: 410, reason: 'Expired' } });
    expect(seen.slice(0, -1).map((event) => textAt(event, 'object', 'data', 'i'))).toEqual(
      seen.slice(0, -1).map((_, i) => `${i}`),
    );
    expect(seen.length).toBeLessThan(60);
  });

  test('and one that comes back too late is, too', async () => {
    await using late = await watching(api, api.adminToken, `${path}?watch=1&resourceVersion=${firstVersion}`);
    expect(await late.next()).toMatchObject({ type: 'ERROR', object: { code: 410, reason: 'Expired' } });
  });
});

describe('list', () => {
  test('comes in pages that miss nothing', async () => {
    await call('POST', '/api/v1/namespaces', configMap('pages'));
    const path = '/api/v1/namespaces/pages/secrets';
    for (let i = 0; i < 7; i++) await call('POST', path, configMap(`s${i}`));
    const names: string[] = [];
    let token = '';
    const versions = new Set<string>();
    do {
      const { body } = await call('GET', `${path}?limit=3&continue=${token}`);
      names.push(...listAt(body, 'items').map((item) => textAt(item, 'metadata', 'name') ?? ''));
      versions.add(textAt(body, 'metadata', 'resourceVersion') ?? '');
      token = textAt(body, 'metadata', 'continue') ?? '';
    } while (token !== '');
    expect(names).toEqual(['s0', 's1', 's2', 's3', 's4', 's5', 's6']);
    expect(versions.size).toBe(1);
    expect((await call('GET', `${path}?continue=x`)).status).toBe(400);
  });

  test('is a table, or metadata alone, for those who ask', async () => {
    const accept = (as: string) => ({
      Accept: `application/json;as=${as};v=v1;g=meta.k8s.io,application/json`,
    });
    const table = await call('GET', '/api/v1/namespaces', undefined, undefined, accept('Table'));
    expect(table.body).toMatchObject({
      kind: 'Table',
      columnDefinitions: [{ name: 'Name' }, { name: 'Status' }, { name: 'Age' }],
    });
    const metadata = await call(
      'GET',
      '/api/v1/namespaces/default',
      undefined,
      undefined,
      accept('PartialObjectMetadata'),
    );
    expect(metadata.body).toMatchObject({ kind: 'PartialObjectMetadata', metadata: { name: 'default' } });
    expect(metadata.body['spec']).toBeUndefined();
  });
});

describe('writing', () => {
  test('a dry run stores nothing', async () => {
    expect((await call('POST', `${MAPS}?dryRun=All`, configMap('dry'))).status).toBe(201);
    expect((await call('GET', `${MAPS}/dry`)).status).toBe(404);
  });

  test('a change of nothing is no change', async () => {
    const made = await call('POST', MAPS, configMap('same', { labels: { a: '1' } }));
    const patched = await call(
      'PATCH',
      `${MAPS}/same`,
      { metadata: { labels: { a: '1' } } },
      'application/merge-patch+json',
    );
    expect(versionOf(patched)).toBe(versionOf(made));
  });

  test('generateName makes a name that is free', async () => {
    const [one, two] = [
      await call('POST', MAPS, { metadata: { generateName: 'gen-' } }),
      await call('POST', MAPS, { metadata: { generateName: 'gen-' } }),
    ];
    expect(textAt(one.body, 'metadata', 'name')).toMatch(/^gen-[a-z0-9]{5}$/);
    expect(textAt(two.body, 'metadata', 'name')).not.toBe(textAt(one.body, 'metadata', 'name'));
  });

  test('unknown fields are warned of, or refused, or ignored', async () => {
    const body = { ...configMap('unknown'), colour: 'red' };
    const warned = await call('POST', `${MAPS}?dryRun=All`, body);
    expect(warned.headers['warning']).toBe('299 - "unknown field \\"colour\\""');
    expect(warned.body['colour']).toBeUndefined();
    const refused = await call('POST', `${MAPS}?dryRun=All&fieldValidation=Strict`, body);
    expect(refused.body).toMatchObject({ code: 400, reason: 'BadRequest' });
    expect(textAt(refused.body, 'message')).toContain('strict decoding error: unknown field "colour"');
    expect(
      (await call('POST', `${MAPS}?dryRun=All&fieldValidation=Ignore`, body)).headers['warning'],
    ).toBeUndefined();
  });

  test.each<[string, string, JsonObject, number, string]>([
    ['a bad name', MAPS, configMap('Bad_Name'), 422, 'lowercase RFC 1123 subdomain'],
    ['a bad label', MAPS, configMap('a', { labels: { a: 'b c' } }), 422, 'metadata.labels'],
    ['no name', MAPS, { metadata: {} }, 422, 'name or generateName is required'],
    ['another kind', MAPS, { kind: 'Pod', metadata: { name: 'a' } }, 400, 'ConfigMap'],
    [
      'another version',
      MAPS,
      { apiVersion: 'v2', kind: 'ConfigMap', metadata: { name: 'a' } },
      400,
      'does not match the expected API version',
    ],
    ['another namespace', MAPS, configMap('a', { namespace: 'other' }), 400, 'does not match the namespace'],
    [
      'a type that is not the field’s',
      PODS,
      { metadata: { name: 'a' }, spec: { containers: 'x' } },
      400,
      'spec.containers',
    ],
    [
      'a pod without containers',
      PODS,
      { metadata: { name: 'a' }, spec: {} },
      422,
      'spec.containers: Required value',
    ],
    [
      'a pod of no service account',
      PODS,
      pod('a', { serviceAccountName: 'none' }),
      403,
      'serviceaccount "none" not found',
    ],
    [
      'a version of its own',
      MAPS,
      configMap('a', { resourceVersion: '1' }),
      400,
      'resourceVersion should not be set',
    ],
  ])('%s is refused', async (_, path, body, status, message) => {
    const answer = await call('POST', path, body);
    expect([answer.status, textAt(answer.body, 'message')]).toEqual([
      status,
      expect.stringContaining(message),
    ]);
  });

  test('bodies beyond the limits are refused', async () => {
    const large = await call('POST', MAPS, {
      ...configMap('large'),
      data: { x: 'x'.repeat(4_000_000) },
    }).catch(() => ({ status: 413 }));
    expect(large.status).toBe(413);
    const object = await call('POST', MAPS, { ...configMap('large'), data: { x: 'x'.repeat(2_000_000) } });
    expect(object.status).toBe(413);
    const deep = await call('POST', MAPS, `${'{"a":'.repeat(100)}1${'}'.repeat(100)}`);
    expect(textAt(deep.body, 'message')).toContain('nested too deeply');
    const prototype = await call('POST', MAPS, '{"metadata":{"name":"p"},"__proto__":{"x":1}}');
    expect(textAt(prototype.body, 'message')).toContain('__proto__');
    expect((await call('POST', MAPS, '\0protobuf', 'application/cbor')).status).toBe(415);
  });

  test('a status is written apart; annotations may come along, nothing else', async () => {
    await call('POST', PODS, { ...pod('st'), status: { phase: 'Running' } });
    expect((await call('GET', `${PODS}/st`)).body).toMatchObject({ status: { phase: 'Pending' } });
    const status = await call(
      'PATCH',
      `${PODS}/st/status`,
      { status: { phase: 'Running' }, metadata: { annotations: { x: 'y' } }, spec: { hostname: 'other' } },
      'application/merge-patch+json',
    );
    expect(status.body).toMatchObject({
      status: { phase: 'Running' },
      metadata: { annotations: { x: 'y' } },
    });
    expect(objectAt(status.body, 'spec')['hostname']).toBeUndefined();
    const main = await call(
      'PATCH',
      `${PODS}/st`,
      { status: { phase: 'Failed' }, metadata: { labels: { x: 'y' } } },
      'application/merge-patch+json',
    );
    expect(main.body).toMatchObject({
      status: { phase: 'Running' },
      metadata: { labels: { x: 'y' }, annotations: { x: 'y' }, generation: 1 },
    });
  });

  test('server-side apply makes, merges, conflicts and takes over', async () => {
    const apply = (manager: string, data: JsonObject, force = false) =>
      call(
        'PATCH',
        `${MAPS}/ssa?fieldManager=${manager}&force=${force}`,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ssa' }, data },
        'application/apply-patch+yaml',
      );
    expect((await apply('one', { x: '1' })).status).toBe(201);
    expect((await apply('two', { y: '2' })).body['data']).toEqual({ x: '1', y: '2' });
    const conflict = await apply('two', { x: '2', y: '2' });
    expect(conflict.body).toMatchObject({
      code: 409,
      reason: 'Conflict',
      details: { causes: [{ reason: 'FieldManagerConflict', field: '.data.x' }] },
    });
    expect((await apply('two', { x: '2', y: '2' }, true)).body['data']).toEqual({ x: '2', y: '2' });
    expect((await apply('two', {})).body['data']).toBeUndefined();
  });
});

describe('services', () => {
  const SERVICES = '/api/v1/namespaces/default/services';
  const service = (name: string, spec: JsonObject = {}): JsonObject => ({
    metadata: { name },
    spec: { ports: [{ port: 80 }], ...spec },
  });

  test('get an address of their own, keep it, and may ask for one', async () => {
    const made = await call('POST', SERVICES, service('a'));
    const ip = textAt(made.body, 'spec', 'clusterIP') ?? '';
    expect(ip).toMatch(/^10\.96\.\d+\.\d+$/);
    const put = await call('PUT', `${SERVICES}/a`, service('a', { ports: [{ port: 81 }] }));
    expect(textAt(put.body, 'spec', 'clusterIP')).toBe(ip);
    expect(
      textAt(
        (await call('POST', SERVICES, service('dns', { clusterIP: '10.96.0.10' }))).body,
        'spec',
        'clusterIP',
      ),
    ).toBe('10.96.0.10');
    expect((await call('POST', SERVICES, service('dns2', { clusterIP: '10.96.0.10' }))).status).toBe(422);
    expect((await call('POST', SERVICES, service('out', { clusterIP: '10.0.0.1' }))).status).toBe(422);
    expect(
      (
        await call(
          'PATCH',
          `${SERVICES}/a`,
          { spec: { clusterIP: '10.96.7.7' } },
          'application/merge-patch+json',
        )
      ).status,
    ).toBe(422);
    expect(
      textAt(
        (await call('POST', SERVICES, service('none', { clusterIP: 'None' }))).body,
        'spec',
        'clusterIP',
      ),
    ).toBe('None');
    const node = await call('POST', SERVICES, service('np', { type: 'NodePort' }));
    expect(listAt(node.body, 'spec', 'ports')[0]).toMatchObject({
      nodePort: expect.any(Number),
      targetPort: 80,
      protocol: 'TCP',
    });
  });
});

describe('going away', () => {
  test('a pod on a node waits for its kubelet', async () => {
    await call('POST', PODS, pod('bound'));
    expect(
      (await call('POST', `${PODS}/bound/binding`, { target: { kind: 'Node', name: 'n1' } })).status,
    ).toBe(201);
    expect(
      (await call('POST', `${PODS}/bound/binding`, { target: { kind: 'Node', name: 'n2' } })).status,
    ).toBe(409);
    const marked = await call('DELETE', `${PODS}/bound`);
    expect(marked.body).toMatchObject({
      metadata: { deletionTimestamp: expect.any(String), deletionGracePeriodSeconds: 30 },
    });
    expect((await call('GET', `${PODS}/bound`)).status).toBe(200);
    await call('DELETE', `${PODS}/bound?gracePeriodSeconds=0`);
    expect((await call('GET', `${PODS}/bound`)).status).toBe(404);
  });

  test('a finalizer holds an object until it is taken off', async () => {
    await call('POST', MAPS, configMap('held', { finalizers: ['example.com/hold'] }));
    expect((await call('DELETE', `${MAPS}/held`)).body).toMatchObject({
      metadata: { deletionTimestamp: expect.any(String) },
    });
    const more = await call(
      'PATCH',
      `${MAPS}/held`,
      { metadata: { finalizers: ['example.com/hold', 'example.com/more'] } },
      'application/merge-patch+json',
    );
    expect(more.status).toBe(422);
    await call('PATCH', `${MAPS}/held`, { metadata: { finalizers: null } }, 'application/merge-patch+json');
    expect((await call('GET', `${MAPS}/held`)).status).toBe(404);
  });

  test('what is owned goes with its last owner', async () => {
    const [one, two] = [
      await call('POST', MAPS, configMap('owner1')),
      await call('POST', MAPS, configMap('owner2')),
    ];
    const reference = (answer: Answer, name: string) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      name,
      uid: uidOf(answer),
    });
    await call(
      'POST',
      MAPS,
      configMap('owned', { ownerReferences: [reference(one, 'owner1'), reference(two, 'owner2')] }),
    );
    await call('DELETE', `${MAPS}/owner1`);
    await eventually(
      async () =>
        listAt((await call('GET', `${MAPS}/owned`)).body, 'metadata', 'ownerReferences').length === 1,
      'one owner less',
    );
    await call('DELETE', `${MAPS}/owner2`);
    await eventually(gone(`${MAPS}/owned`), 'owned is gone');
  });

  test('deletion in the foreground waits for dependents; orphaning lets them live', async () => {
    const owner = await call('POST', MAPS, configMap('front'));
    const ownerReferences = (answer: Answer, name: string) => [
      { apiVersion: 'v1', kind: 'ConfigMap', name, uid: uidOf(answer), blockOwnerDeletion: true },
    ];
    await call(
      'POST',
      MAPS,
      configMap('front-child', {
        ownerReferences: ownerReferences(owner, 'front'),
        finalizers: ['example.com/hold'],
      }),
    );
    await call('DELETE', `${MAPS}/front`, { propagationPolicy: 'Foreground' });
    await eventually(
      async () =>
        textAt((await call('GET', `${MAPS}/front-child`)).body, 'metadata', 'deletionTimestamp') !==
        undefined,
      'child is going',
    );
    expect((await call('GET', `${MAPS}/front`)).status).toBe(200);
    await call(
      'PATCH',
      `${MAPS}/front-child`,
      { metadata: { finalizers: null } },
      'application/merge-patch+json',
    );
    await eventually(gone(`${MAPS}/front`), 'the owner is gone');

    const parent = await call('POST', MAPS, configMap('parent'));
    await call('POST', MAPS, configMap('orphan', { ownerReferences: ownerReferences(parent, 'parent') }));
    await call('DELETE', `${MAPS}/parent?propagationPolicy=Orphan`);
    await eventually(gone(`${MAPS}/parent`), 'the parent is gone');
    expect(
      objectAt((await call('GET', `${MAPS}/orphan`)).body, 'metadata')['ownerReferences'],
    ).toBeUndefined();
  });

  test('a namespace takes everything in it along, and lets nothing new in', async () => {
    await call('POST', '/api/v1/namespaces', configMap('doomed'));
    const inside = '/api/v1/namespaces/doomed/configmaps';
    await call('POST', inside, configMap('stays', { finalizers: ['example.com/hold'] }));
    await call('POST', inside, configMap('goes'));
    await call('DELETE', '/api/v1/namespaces/doomed');
    await eventually(gone(`${inside}/goes`), 'what nothing holds is gone');
    expect((await call('GET', '/api/v1/namespaces/doomed')).body).toMatchObject({
      status: { phase: 'Terminating' },
    });
    const refused = await call('POST', inside, configMap('late'));
    expect(refused.body).toMatchObject({
      code: 403,
      details: { causes: [{ reason: 'NamespaceTerminating' }] },
    });
    await call(
      'PATCH',
      `${inside}/stays`,
      { metadata: { finalizers: null } },
      'application/merge-patch+json',
    );
    await eventually(gone('/api/v1/namespaces/doomed'), 'the namespace is gone');
  });

  test('all of a collection, by selector', async () => {
    for (const name of ['c1', 'c2']) await call('POST', MAPS, configMap(name, { labels: { batch: 'x' } }));
    const deleted = await call('DELETE', `${MAPS}?labelSelector=batch%3Dx`);
    expect(listAt(deleted.body, 'items')).toHaveLength(2);
    expect(listAt((await call('GET', `${MAPS}?labelSelector=batch`)).body, 'items')).toEqual([]);
  });

  test('only the object that was meant, when the client says which', async () => {
    await call('POST', MAPS, configMap('meant'));
    const wrong = await call('DELETE', `${MAPS}/meant`, { preconditions: { uid: 'other' } });
    expect(wrong.body).toMatchObject({ code: 409 });
  });
});
