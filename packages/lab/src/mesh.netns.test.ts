import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { daemonSets, namespaces, type Pod, pods } from '@ambit/kube/resources/core';
import { summarize } from './demo/wire.ts';
import { type Lab, startLab } from './lab.ts';
import { SYSTEM_NAMESPACE } from './manifests.ts';
import { installMesh } from './mesh.ts';
import { clientPod, LabFixture, namespaceText, serverPod, serviceText, SHOP } from './testing/lab-fixture.ts';

const signal = new AbortController().signal;
const MODE = 'istio.io/dataplane-mode';
const WORDS = ['GET /', 'says hello'];

let lab: Lab;
let fixture: LabFixture;

const isEnrolled = (pod: Pod | undefined) =>
  pod?.metadata.annotations?.['ambient.istio.io/redirection'] === 'enabled';
const label = (name: string, value: string | null) =>
  lab.client.patch(
    namespaces,
    { name },
    { type: 'merge', body: { metadata: { labels: { [MODE]: value } } } },
    {},
    signal,
  );
const enrolled = (name: string, wanted: boolean) =>
  fixture.eventually(
    `${name} ${wanted ? '' : 'not '}enrolled`,
    async () => isEnrolled(await fixture.get(name)) === wanted,
  );

/** What crosses the link between the nodes of pods' own traffic. */
async function wire() {
  const { items } = await lab.client.list(pods, { namespace: SHOP }, signal);
  const hosts = items.flatMap(({ status }) => status?.podIPs ?? []).map(({ ip }) => ip);
  return summarize(await lab.capture(700, signal, { hosts }), WORDS);
}

/** A client's requests of the next moments: all must go well. */
async function goesOnWithoutFailure(name: string, during: () => Promise<unknown>): Promise<void> {
  const before = fixture.tally(name);
  await during();
  await sleep(500);
  await fixture.eventually('it goes on', async () => fixture.tally(name).ok > before.ok);
  expect(fixture.tally(name).failed.slice(before.failed.length)).toEqual([]);
}

const ofApp = async (app: string, node: string) => {
  const { items } = await lab.client.list(pods, { namespace: SYSTEM_NAMESPACE, labelSelector: app }, signal);
  const found = items.find(({ spec }) => spec?.nodeName === node);
  if (!found) throw new Error(`no ${app} on ${node}`);
  return found.metadata;
};

beforeAll(async () => {
  lab = await startLab({ environment: { PATH: process.env['PATH'] } });
  fixture = new LabFixture(lab, signal);
  await installMesh(lab, signal);
  await fixture.apply(namespaceText(SHOP), namespaceText('outside'));
  await fixture.apply(
    ...[
      serverPod('server', 'node-b'),
      serviceText('server'),
      clientPod('client', 'node-a', 'http://server/'),
    ],
    serverPod('stranger', 'node-a', {}, 'outside'),
  );
  await Promise.all([fixture.ready('server'), fixture.ready('client'), fixture.ready('stranger', 'outside')]);
  await fixture.eventually('first answers', async () => fixture.tally('client').ok > 5);
});
afterAll(async () => {
  await lab?.stop();
});

describe('a namespace is labelled, its pods run on', () => {
  test('in clear at first', async () => {
    const seen = await fixture.eventually('segments', async () => {
      const now = await wire();
      return now.readableSegments > 0 && now;
    });
    expect(seen.hboneSegments).toBe(0);
  });

  test('then over HBONE, with nothing lost and no pod restarted', async () => {
    const uid = (await fixture.ready('client')).metadata.uid;
    await goesOnWithoutFailure('client', async () => {
      await label(SHOP, 'ambient');
      await Promise.all([enrolled('client', true), enrolled('server', true)]);
    });
    const seen = await fixture.eventually('only HBONE', async () => {
      const now = await wire();
      return now.tlsRecords > 0 && now.readableSegments === 0 && now.dataSegments === now.hboneSegments
        ? now
        : undefined;
    });
    expect(seen.ports).toEqual([15_008]);
    expect((await fixture.ready('client')).metadata.uid).toBe(uid);
    const log = lab.logsOf({
      namespace: SYSTEM_NAMESPACE,
      name: (await ofApp('app=ztunnel', 'node-b')).name,
    });
    expect(log).toContain('spiffe://cluster.local/ns/shop/sa/default');
  });

  test('a pod that starts now is in the mesh from its first connection', async () => {
    await fixture.apply(clientPod('newcomer', 'node-a', 'http://server/'));
    await fixture.ready('newcomer');
    await enrolled('newcomer', true);
    await fixture.eventually('answers', async () => fixture.tally('newcomer').ok > 5);
    expect(fixture.tally('newcomer').failed).toEqual([]);
  });

  test('STRICT refuses a pod outside, serves those inside, and probes go on', async () => {
    const strict = `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: ${SHOP}}\nspec: {mtls: {mode: STRICT}}\n`;
    const ip = (await fixture.ready('server')).status?.podIP ?? '';
    expect((await fixture.ask('stranger', `http://${ip}:8080/`, 'outside')).status).toBe(0);
    await goesOnWithoutFailure('client', async () => {
      await fixture.apply(strict);
      await fixture.eventually(
        'refused',
        async () => (await fixture.ask('stranger', `http://${ip}:8080/`, 'outside')).status !== 0,
      );
    });
    await sleep(2_000);
    await fixture.ready('server');
    await fixture.remove(strict);
    await fixture.eventually(
      'served',
      async () => (await fixture.ask('stranger', `http://${ip}:8080/`, 'outside')).status === 0,
    );
  });
});

describe('parts of the mesh go and come back', () => {
  test('the node agent restarts, and nothing is lost', async () => {
    const { name } = await ofApp('k8s-app=istio-cni-node', 'node-a');
    await goesOnWithoutFailure('client', async () => {
      await lab.client.delete(pods, { name, namespace: SYSTEM_NAMESPACE }, {}, signal);
      await fixture.eventually('another agent', async () => {
        const now = await ofApp('k8s-app=istio-cni-node', 'node-a');
        const pod = await fixture.get(now.name, SYSTEM_NAMESPACE);
        return (
          pod?.metadata.deletionTimestamp === undefined &&
          pod?.status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True')
        );
      });
    });
  });

  test('ztunnel is upgraded, the new one before the old one goes, and nothing is lost', async () => {
    const before = (await ofApp('app=ztunnel', 'node-a')).uid;
    await goesOnWithoutFailure('client', async () => {
      const body = { spec: { template: { metadata: { annotations: { restarted: 'once' } } } } };
      await lab.client.patch(
        daemonSets,
        { name: 'ztunnel', namespace: SYSTEM_NAMESPACE },
        { type: 'merge', body },
        {},
        signal,
      );
      await fixture.eventually('only new ztunnels', async () => {
        const { items } = await lab.client.list(
          pods,
          { namespace: SYSTEM_NAMESPACE, labelSelector: 'app=ztunnel' },
          signal,
        );
        return (
          items.length === 2 &&
          items.every(({ metadata: { uid, annotations } }) => uid !== before && annotations?.['restarted'])
        );
      });
    });
  });

  test('without the agent no pod of the mesh starts, and it says what to look at; others do', async () => {
    const agent = {
      namespace: SYSTEM_NAMESPACE,
      name: (await ofApp('k8s-app=istio-cni-node', 'node-b')).name,
    };
    const kill = (what: string) =>
      fixture.exec(
        agent,
        'sh',
        '-c',
        `for p in /host/proc/[0-9]*; do
      if tr '\\0' ' ' <$p/cmdline | grep -q "agent/[m]ain.ts" && tr '\\0' '\\n' <$p/environ | grep -q ^NODE_NAME=node-b; then kill -${what} \${p##*/}; fi; done`,
      );
    await kill('STOP');
    await fixture.apply(serverPod('guarded', 'node-b'), serverPod('free', 'node-b', {}, 'outside'));
    await fixture.ready('free', 'outside');
    const why = await fixture.eventually('a reason', async () => {
      const text = JSON.stringify((await fixture.get('guarded'))?.status ?? {});
      return text.includes('CNI plugin istio-cni') && text;
    });
    expect(why).toMatch(/agent/);
    expect((await fixture.get('guarded'))?.status?.phase).toBe('Pending');
    await kill('CONT');
    await fixture.ready('guarded');
    await enrolled('guarded', true);
  });

  test('the label is taken off: in clear again, nothing lost', async () => {
    await goesOnWithoutFailure('client', async () => {
      await label(SHOP, null);
      await Promise.all([enrolled('client', false), enrolled('server', false)]);
    });
    await fixture.eventually('in clear', async () => {
      const seen = await wire();
      return seen.readableSegments > 0 && seen.hboneSegments === 0;
    });
  });
});
