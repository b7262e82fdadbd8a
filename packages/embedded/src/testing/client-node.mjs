// The official client for Node against a server under test, in a process of its own: lists, watches, writes, deletes.
// It prints one line of JSON with what it saw.
import { CoreV1Api, KubeConfig, KubernetesObjectApi, Watch } from '@kubernetes/client-node';

const config = new KubeConfig();
config.loadFromFile(process.argv[2]);
const core = config.makeApiClient(CoreV1Api);
const seen = { events: [] };

const list = await core.listNamespacedConfigMap({ namespace: 'default' });
const watch = new Watch(config);
const abort = await watch.watch(
  '/api/v1/namespaces/default/configmaps',
  { resourceVersion: list.metadata.resourceVersion, allowWatchBookmarks: true },
  (type, object) => seen.events.push(`${type} ${object.metadata.name}`),
  () => undefined,
);
await core.createNamespacedConfigMap({
  namespace: 'default',
  body: { metadata: { name: 'official' }, data: { a: 'b' } },
});
const objects = KubernetesObjectApi.makeApiClient(config);
const patched = await objects.patch({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'official', namespace: 'default' },
  data: { c: 'd' },
});
seen.data = patched.data;
const read = await core.readNamespacedConfigMap({ name: 'official', namespace: 'default' });
seen.created = read.metadata.creationTimestamp instanceof Date;
try {
  await core.readNamespacedConfigMap({ name: 'none', namespace: 'default' });
} catch (error) {
  seen.missing = error.code;
}
await core.deleteNamespacedConfigMap({ name: 'official', namespace: 'default' });
for (let i = 0; i < 1_250 && seen.events.length < 3; i++) await new Promise((done) => setTimeout(done, 20));
abort.abort();
process.stdout.write(JSON.stringify(seen));
