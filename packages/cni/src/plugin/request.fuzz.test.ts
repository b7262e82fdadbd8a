import { expect, test } from '@jest/globals';
import { fuzzing } from '@ambit/core/testing/seeded';
import { CniError } from './errors.ts';
import { parseCommand, parseRequest } from './request.ts';

const ROUNDS = 10_000;
const ENVIRONMENT = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/var/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
  CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=b1e2',
};
const CONFIG = JSON.stringify({
  cniVersion: '1.1.0',
  name: 'k8s',
  type: 'ambit-cni',
  ambient_enabled: true,
  exclude_namespaces: ['kube-system'],
  prevResult: { cniVersion: '1.1.0', ips: [{ address: '10.0.0.5/24' }] },
  'cni.dev/valid-attachments': [{ containerID: 'c1', ifname: 'eth0' }],
});
const WORDS = [
  'null',
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  '1e999',
  '"__proto__":',
  'true',
  '\\u0000',
  '-1',
  ';',
  '=',
];

test('whatever a runtime says: a request, or an error with a code of the specification', () => {
  const chance = fuzzing(47);
  const count = { requests: 0, refused: 0 };
  for (let i = 0; i < ROUNDS; i++) {
    const stdin = chance.mutate(Buffer.from(CONFIG), WORDS).toString('latin1');
    const args = chance.mutate(Buffer.from(ENVIRONMENT.CNI_ARGS), WORDS).toString('latin1');
    const command = chance.below(10) === 0 ? chance.mutate(Buffer.from('ADD'), WORDS).toString() : 'ADD';
    const env = { ...ENVIRONMENT, CNI_ARGS: args, CNI_COMMAND: command };
    try {
      const request = parseRequest(parseCommand(env), env, stdin);
      count.requests += 1;
      expect([typeof request.pod.name, typeof request.config.ambientEnabled]).toEqual(['string', 'boolean']);
      expect(request.config.agentWaitMs).toBeGreaterThanOrEqual(0);
    } catch (error) {
      expect({ stdin, args, command, error }).toEqual({ stdin, args, command, error: expect.any(CniError) });
      count.refused += 1;
    }
  }
  expect(Math.min(count.requests, count.refused)).toBeGreaterThan(ROUNDS / 50);
});
