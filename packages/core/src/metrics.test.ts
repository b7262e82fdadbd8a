import { describe, expect, test } from '@jest/globals';
import { formatMetrics, MAX_SERIES_PER_METRIC, MetricRegistry, metricsContentType } from './metrics.ts';

describe('OpenMetrics text', () => {
  test('every type, labels in order, empty values left out, values escaped', () => {
    const registry = new MetricRegistry();
    const opened = registry.counter({ name: 'opened', help: 'Opened', labels: ['a', 'b'], stable: true });
    const open = registry.gauge({ name: 'open', help: 'Open now' });
    const took = registry.histogram({ name: 'took_seconds', help: 'Took', labels: ['a'] }, [0.1, 1]);
    registry.counter({ name: 'never', help: 'Never used' });
    registry.beforeCollect(() => open.set(3));
    opened.inc({ a: 'x', b: '' });
    opened.inc({ a: 'x', b: '' }, 2);
    opened.inc({ a: 'q"\\\n', b: 'y' });
    took.observe(0.1, { a: 'x' });
    took.observe(5, { a: 'x' });
    expect(formatMetrics(registry.collect())).toBe(`# HELP opened Opened.
# TYPE opened counter
opened_total{a="x"} 3
opened_total{a="q\\"\\\\\\n",b="y"} 1
# HELP open Open now (unstable).
# TYPE open gauge
open 3
# HELP took_seconds Took (unstable).
# TYPE took_seconds histogram
took_seconds_bucket{a="x",le="0.1"} 1
took_seconds_bucket{a="x",le="1"} 1
took_seconds_bucket{a="x",le="+Inf"} 2
took_seconds_sum{a="x"} 5.1
took_seconds_count{a="x"} 2
# EOF
`);
  });

  test('a counter may have a name that does not end in _total, and is of no type then', () => {
    const registry = new MetricRegistry();
    registry.counter({ name: 'pushes', help: 'Pushes', bare: true, stable: true }).inc(undefined, 2);
    expect(formatMetrics(registry.collect())).toBe('# HELP pushes Pushes.\npushes 2\n# EOF\n');
  });

  test('a series can be forgotten', () => {
    const registry = new MetricRegistry();
    const up = registry.gauge({ name: 'up', help: 'Up', labels: ['pod'] });
    up.add(1, { pod: 'a' });
    up.remove({ pod: 'a' });
    expect(formatMetrics(registry.collect())).toBe('# EOF\n');
  });

  test('series are bounded', () => {
    const registry = new MetricRegistry();
    const many = registry.counter({ name: 'many', help: 'Many', labels: ['n'] });
    for (let i = 0; i < MAX_SERIES_PER_METRIC + 10; i++) many.inc({ n: String(i) });
    expect(registry.collect()[0]?.samples).toHaveLength(MAX_SERIES_PER_METRIC);
  });

  test('numbers that are no numbers', () => {
    const samples = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((value) => ({
      suffix: '' as const,
      labels: [],
      value,
    }));
    const text = formatMetrics([{ name: 'n', help: 'N', type: 'gauge', samples }]);
    expect(text.split('\n').slice(2, 5)).toEqual(['n NaN', 'n +Inf', 'n -Inf']);
  });
});

test('the content type follows what the scraper accepts', () => {
  expect(metricsContentType('application/openmetrics-text;version=1.0.0,text/plain;q=0.5')).toContain(
    'openmetrics',
  );
  expect(metricsContentType('*/*')).toBe('text/plain; charset=utf-8');
  expect(metricsContentType(undefined)).toBe('text/plain; charset=utf-8');
});
