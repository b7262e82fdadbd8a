import { expect, test } from '@jest/globals';
import { ProviderError } from '../cluster/errors.ts';
import type { ClusterProvider } from '../cluster/provider.ts';
import { ClusterUnderTest } from './cluster-under-test.ts';

const options = {
  provider: 'kind',
  keep: true,
  nodes: 2,
  ipFamily: 'ipv4',
  name: 'mine',
  nodeImage: undefined,
  // Else they are made.
  images: { hub: 'hub.invalid', tag: 'none' },
  loadCommand: undefined,
  jestArguments: [],
} as const;

test('of a cluster that did not start there is nothing to keep', async () => {
  const provider: ClusterProvider = {
    ownsClusters: true,
    up: () => Promise.reject(new ProviderError('no node image')),
    attach: () => Promise.reject(new ProviderError('no cluster')),
    down: () => Promise.resolve(),
    removal: () => '',
  };
  const signal = new AbortController().signal;
  const cluster = new ClusterUnderTest({
    options,
    provider,
    folder: '/none',
    report: () => undefined,
    signal,
  });
  await expect(cluster.make()).rejects.toThrow('no node image');
  expect(cluster.isThere).toBe(false);
});
