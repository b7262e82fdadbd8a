import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { configFrom } from '../../config.ts';
import { MAX_OVERLAY_CHARS } from '../../limits.ts';
import { renderSettings } from '../settings.ts';
import type { Part } from './manifest.ts';
import { overlaid, type Overlaid } from './overlay.ts';
import { renderWaypoint } from './render.ts';

const gateway = {
  metadata: { namespace: 'shop', name: 'w', uid: 'u' },
  spec: { gatewayClassName: 'istio-waypoint' },
};
const rendered = renderWaypoint(gateway, renderSettings(configFrom({}), '1'), {
  gatewayClass: undefined,
  network: '',
});

const laidOver = (part: Part, text: string, isTrusted = false): Overlaid =>
  overlaid(rendered, [{ from: 'x', texts: { [part]: text }, isTrusted }]);
const ofPod = (spec: string) => `spec: {template: {spec: ${spec}}}`;
const ofContainer = (fields: string) => ofPod(`{containers: [{name: istio-proxy, ${fields}}]}`);

describe('an overlay beside a Gateway gives nobody more than its namespace', () => {
  const refused: Readonly<Record<string, readonly [Part, string]>> = {
    'the network of the node': ['deployment', ofPod('{hostNetwork: true}')],
    'processes of the node': ['deployment', ofPod('{hostPID: true}')],
    'memory of the node': ['deployment', ofPod('{hostIPC: true}')],
    'files of the node': ['deployment', ofPod('{volumes: [{name: r, hostPath: {path: /}}]}')],
    'a privileged container': ['deployment', ofContainer('securityContext: {privileged: true}')],
    'a privileged container beside ours': [
      'deployment',
      ofPod('{containers: [{name: b, image: b, securityContext: {privileged: true}}]}'),
    ],
    'a privileged one before ours': [
      'deployment',
      ofPod('{initContainers: [{name: b, image: b, securityContext: {privileged: true}}]}'),
    ],
    'a capability': ['deployment', ofContainer('securityContext: {capabilities: {add: [SYS_ADMIN]}}')],
    'no profile of system calls': [
      'deployment',
      ofPod('{securityContext: {seccompProfile: {type: Unconfined}}}'),
    ],
    'no profile of AppArmor': [
      'deployment',
      ofContainer('securityContext: {appArmorProfile: {type: Unconfined}}'),
    ],
    'the same by annotation': [
      'deployment',
      'spec: {template: {metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/istio-proxy: unconfined}}}}',
    ],
    'a type of SELinux': ['deployment', ofPod('{securityContext: {seLinuxOptions: {type: spc_t}}}')],
    'settings of the kernel': [
      'deployment',
      ofPod('{securityContext: {sysctls: [{name: kernel.x, value: "1"}]}}'),
    ],
    'all of /proc': ['deployment', ofContainer('securityContext: {procMount: Unmasked}')],
    'a port of the node': ['deployment', ofContainer('ports: [{containerPort: 1, hostPort: 1}]')],
    'a probe of somebody else': [
      'deployment',
      ofContainer('livenessProbe: {httpGet: {host: 192.0.2.1, port: 80}}'),
    ],
    'a process of a Windows host': [
      'deployment',
      ofPod('{securityContext: {windowsOptions: {hostProcess: true}}}'),
    ],
    'another account': ['deployment', ofPod('{serviceAccountName: admin}')],
    'another account by its older name': ['deployment', ofPod('{serviceAccount: admin}')],
    'a token for the API server': ['deployment', ofPod('{automountServiceAccountToken: true}')],
    'one among its files': [
      'deployment',
      ofPod('{volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: t}}]}}]}'),
    ],
    'addresses of others': ['service', 'spec: {externalIPs: [192.0.2.1]}'],
    "somebody else's replicas": ['horizontalPodAutoscaler', 'spec: {scaleTargetRef: {name: other}}'],
  };
  test.each(Object.entries(refused))('%s', (_, [part, text]) => {
    expect(laidOver(part, text)).toMatchObject({
      kind: 'problem',
      message: expect.stringMatching(`^x: ${part}: `),
    });
    // Whoever runs the control plane may.
    expect(laidOver(part, text, true).kind).toBe('objects');
  });

  test.each([
    [
      'what is confined, of whatever image',
      ofPod('{containers: [{name: b, image: b}], volumes: [{name: s, secret: {secretName: s}}]}'),
    ],
    ['capabilities of baseline', ofContainer('securityContext: {capabilities: {add: [NET_BIND_SERVICE]}}')],
    [
      'a profile of the node',
      ofPod('{securityContext: {seccompProfile: {type: Localhost, localhostProfile: x}}}'),
    ],
    ['what asks for nothing', ofPod('{hostNetwork: false, serviceAccountName: w}')],
  ])('but %s', (_, text) => {
    expect(laidOver('deployment', text).kind).toBe('objects');
  });

  test('what the defaults of its class have, it has', () => {
    const texts = { deployment: ofPod('{hostNetwork: true}') };
    const own = { deployment: ofPod('{priorityClassName: x}') };
    const result = overlaid(rendered, [
      { from: 'defaults', texts, isTrusted: true },
      { from: 'own', texts: own, isTrusted: false },
    ]);
    expect(result.kind).toBe('objects');
  });

  test.each([
    ['another image', ofContainer('image: mine'), false],
    ['another command', ofContainer('command: [sh]'), false],
    ['options for its runtime', ofContainer('env: [{name: NODE_OPTIONS, value: x}]'), false],
    ['a container beside it', ofPod('{containers: [{name: mine, image: mine}]}'), false],
    ['one before it', ofPod('{initContainers: [{name: mine, image: mine}]}'), false],
    ['other files', ofPod('{volumes: [{name: x, configMap: {name: x}}]}'), false],
    ['more memory', ofContainer('resources: {limits: {memory: 1Gi}}'), true],
    ['where it runs', ofPod('{nodeSelector: {zone: a}}'), true],
  ])('into which nobody puts programs of their own: %s', (_, own, isTaken) => {
    const result = overlaid(rendered, [
      { from: 'defaults', texts: { deployment: ofPod('{hostNetwork: true}') }, isTrusted: true },
      { from: 'own', texts: { deployment: own }, isTrusted: false },
    ]);
    expect(result.kind).toBe(isTaken ? 'objects' : 'problem');
    expect(laidOver('deployment', own).kind).toBe('objects');
  });
});

test('as many items as an overlay may have are laid over in no time worth speaking of', () => {
  const items = Array.from({ length: 1_600 }, (_, i) => `{name: v${i}}`);
  const text = ofPod(`{volumes: [${items.join()}]}`);
  expect(text.length).toBeGreaterThan(MAX_OVERLAY_CHARS - 1_000);
  expect(parse(text)).toBeDefined();
  const result = laidOver('deployment', text.slice(0, MAX_OVERLAY_CHARS));
  expect(result.kind === 'objects' && result.objects.deployment.spec).toBeDefined();
  expect(laidOver('deployment', text.padEnd(MAX_OVERLAY_CHARS + 1))).toEqual({
    kind: 'problem',
    message: `x: deployment: longer than ${MAX_OVERLAY_CHARS} characters`,
  });
});
