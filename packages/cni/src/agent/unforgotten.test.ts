import { expect, test } from '@jest/globals';
import { LogRoot } from '@ambit/core/log';
import { formatMetrics, MetricRegistry } from '@ambit/core/metrics';
import { UnforgottenConnections } from './unforgotten.ts';

const pod = (name: string) => ({ uid: name, name, namespace: 'shop', serviceAccount: 'default' });

test('pods that keep tracked connections are counted, and the first for each reason is a warning that says what to do', () => {
  const lines: string[] = [];
  const log = new LogRoot({
    filter: { base: 'info', scopes: new Map() },
    format: 'json',
    destination: { write: (line) => lines.push(line) },
  });
  const registry = new MetricRegistry();
  const report = new UnforgottenConnections(registry, log.scope('agent'));
  report.tell(pod('none'), undefined);
  expect(lines).toEqual([]);
  for (const name of ['one', 'two']) report.tell(pod(name), 'too-many');
  report.tell(pod('three'), 'unsupported');
  const said = lines.map((line) => JSON.parse(line) as { readonly pod: string; readonly advice: string });
  expect(said.map((one) => one.pod)).toEqual(['shop/one', 'shop/three']);
  expect(said[0]?.advice).toContain('restart the pod');
  expect(said[1]?.advice).toContain('nf_conntrack_netlink');
  const text = formatMetrics(registry.collect());
  expect(text).toContain('ambit_cni_unforgotten_total{reason="too-many"} 2');
  expect(text).toContain('ambit_cni_unforgotten_total{reason="unsupported"} 1');
});
