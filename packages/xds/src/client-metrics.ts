/** What an xDS client counts, under Istio's names. */
import type { MetricRegistry } from '@ambit/core/metrics';
import type { ClientObserver } from './client.ts';

export function xdsMetrics(registry: MetricRegistry): ClientObserver {
  const terminations = registry.counter({
    name: 'istio_xds_connection_terminations',
    help: 'The total number of completed connections to xds server',
    labels: ['reason'],
  });
  const messages = registry.counter({
    name: 'istio_xds_message',
    help: 'Total number of messages received',
    labels: ['url'],
  });
  const bytes = registry.counter({
    name: 'istio_xds_message_bytes',
    help: 'Total number of bytes received',
    labels: ['url'],
  });
  return {
    received: (url, size) => {
      messages.inc({ url });
      bytes.inc({ url }, size);
    },
    terminated: (reason) => terminations.inc({ reason }),
  };
}
