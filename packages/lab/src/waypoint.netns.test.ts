import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { deployments, namespaces, pods, services } from '@ambit/kube/resources/core';
import { gatewayClasses, gateways } from '@ambit/kube/resources/gateway';
import { type Lab, startLab } from './lab.ts';
import { installMesh } from './mesh.ts';
import { LabFixture, namespaceText, serverPod, serviceText, SHOP } from './testing/lab-fixture.ts';
import { isReady } from './workloads/template.ts';

const signal = new AbortController().signal;

/** Answers with the header fields that it was asked with. */
const ECHO = `
  const { createServer } = require('node:http');
  createServer((request, response) => response.end(JSON.stringify(request.headers))).listen(8080, '::');
  process.on('SIGTERM', () => process.exit(0));`;
const GATEWAY = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: ${SHOP}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
`;
const ROUTE = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: echo, namespace: ${SHOP}}
spec:
  parentRefs: [{group: "", kind: Service, name: echo}]
  rules:
    - filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-routed, value: "yes"}]}}]
      backendRefs: [{name: echo, port: 80}]
`;

let lab: Lab;
let fixture: LabFixture;

const waypoint = { namespace: SHOP, name: 'waypoint' };
/** The header fields that the echo server heard. */
const heard = async (): Promise<Readonly<Record<string, string>> | undefined> => {
  const { status, output } = await fixture.ask('client', 'http://echo/');
  return status === 0 && output.startsWith('{') ? (JSON.parse(output) as Record<string, string>) : undefined;
};
const labelNamespace = (labels: Readonly<Record<string, string | null>>) =>
  lab.client.patch(namespaces, { name: SHOP }, { type: 'merge', body: { metadata: { labels } } }, {}, signal);
const podsOfWaypoint = async () => {
  const labelSelector = 'gateway.networking.k8s.io/gateway-name=waypoint';
  return (await lab.client.list(pods, { namespace: SHOP, labelSelector }, signal)).items;
};

beforeAll(async () => {
  lab = await startLab({ environment: { PATH: process.env['PATH'] } });
  fixture = new LabFixture(lab, signal);
  await installMesh(lab, signal);
  await fixture.apply(namespaceText(SHOP));
  await labelNamespace({ 'istio.io/dataplane-mode': 'ambient' });
  const echo = {
    name: 'main',
    image: 'none',
    command: [process.execPath, '-e', ECHO],
    ports: [{ name: 'http', containerPort: 8080 }],
    readinessProbe: { httpGet: { path: '/', port: 'http' }, periodSeconds: 1 },
  };
  await fixture.apply(
    serverPod('echo', 'node-b', { containers: [echo] }),
    serviceText('echo'),
    serverPod('client', 'node-a'),
  );
  await Promise.all([fixture.ready('echo'), fixture.ready('client')]);
  await fixture.eventually('an answer', heard);
});
afterAll(async () => {
  await lab?.stop();
});

test('a Gateway becomes a waypoint of two pods, and says when it is ready', async () => {
  const made = await fixture.eventually('the class', () =>
    lab.client.find(gatewayClasses, { name: 'istio-waypoint' }, signal),
  );
  expect(made.spec?.controllerName).toBe('istio.io/mesh-controller');
  await fixture.apply(GATEWAY);
  const ready = await fixture.eventually('two pods', async () => {
    const all = await podsOfWaypoint();
    return all.length === 2 && all.every(isReady) && all;
  });
  expect(new Set(ready.map(({ spec }) => spec?.nodeName)).size).toBe(2);
  const { status } = await fixture.eventually('programmed', async () => {
    const gateway = await lab.client.get(gateways, waypoint, signal);
    return (
      gateway.status?.conditions?.some(({ type, status: is }) => type === 'Programmed' && is === 'True') &&
      gateway
    );
  });
  expect(status?.addresses?.map(({ type }) => type)).toContain('Hostname');
  expect(await heard()).not.toHaveProperty('x-request-id');
});

test('who is labelled to use it is reached through it, by its routes', async () => {
  await labelNamespace({ 'istio.io/use-waypoint': 'waypoint' });
  await fixture.eventually('requests at L7', async () => (await heard())?.['x-request-id']);
  await fixture.apply(ROUTE);
  await fixture.eventually('requests by the route', async () => (await heard())?.['x-routed'] === 'yes');
});

test('deleted, everything of it goes, and traffic goes on without it', async () => {
  await fixture.remove(GATEWAY);
  await fixture.eventually('nothing left', async () => {
    const found = await Promise.all([
      lab.client.find(deployments, waypoint, signal),
      lab.client.find(services, waypoint, signal),
      podsOfWaypoint(),
    ]);
    return found[0] === undefined && found[1] === undefined && found[2].length === 0;
  });
  await fixture.eventually('requests at L4', async () => {
    const fields = await heard();
    return fields && !('x-request-id' in fields);
  });
});
