/** What the kernel knows of a process (descriptors, memory), and the page that metrics are scraped from. */
import { readdirSync, readFileSync } from 'node:fs';
import type { HttpRequest, HttpResponse, PiecewiseBody } from './http-server.ts';
import { type MetricRegistry, metricsContentType } from './metrics.ts';

export function processMetrics(registry: MetricRegistry): void {
  const open = registry.gauge({
    name: 'process_open_fds',
    help: 'Number of open file descriptors',
    stable: true,
  });
  const max = registry.gauge({
    name: 'process_max_fds',
    help: 'Maximum number of open file descriptors',
    stable: true,
  });
  const memory = registry.gauge({
    name: 'ambit_process_memory_bytes',
    help: 'Memory of this process',
    labels: ['kind'],
  });
  registry.beforeCollect(() => {
    // The listing itself holds one.
    open.set(readdirSync('/proc/self/fd').length - 1);
    max.set(Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 0));
    const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
    memory.set(rss, { kind: 'resident' });
    memory.set(heapUsed, { kind: 'control_heap' });
    memory.set(external + arrayBuffers, { kind: 'control_external' });
  });
}

/** @param metrics - Gives the text of one scrape, whole or in pieces. */
export function metricsHandler(metrics: {
  scrape(): Promise<string> | string | PiecewiseBody;
}): (request: HttpRequest) => Promise<HttpResponse> {
  return async ({ path, headers }) => {
    if (path !== '/metrics' && path !== '/stats/prometheus') return { status: 404, body: 'Not Found\n' };
    const accept = Array.isArray(headers['accept']) ? headers['accept'].join() : headers['accept'];
    return {
      status: 200,
      headers: { 'content-type': metricsContentType(accept) },
      body: await metrics.scrape(),
      compress: true,
    };
  };
}
