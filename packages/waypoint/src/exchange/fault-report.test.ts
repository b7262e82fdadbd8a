import { describe, expect, test } from '@jest/globals';
import { LogRoot } from '@ambit/core/log';
import { formatMetrics, MetricRegistry } from '@ambit/core/metrics';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { FAULT_LOG_WINDOW_MS, FAULTS_LOGGED_PER_WINDOW, MAX_FAULT_TEXT_LENGTH } from '../limits.ts';
import { FaultReport } from './fault-report.ts';

function report() {
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) > 0,
  };
  const log = new LogRoot({ filter: { base: 'info', scopes: new Map() }, format: 'json', destination });
  const registry = new MetricRegistry();
  const clock = new FakeClock();
  const counted = () => /^ambit_waypoint_faults_total (\d+)$/m.exec(formatMetrics(registry.collect()))?.[1];
  return { lines, clock, counted, faults: new FaultReport(registry, log.scope('http'), clock) };
}

describe('faults', () => {
  test('are counted, and logged with their stacks', () => {
    const { faults, lines, counted } = report();
    const error = new TypeError('x is undefined');
    faults.tell('a request failed', error);
    faults.tell('a connection failed', 'thrown text');
    expect(lines).toMatchObject([
      { level: 'error', message: 'a request failed by a fault of the waypoint', error: error.stack },
      { message: 'a connection failed by a fault of the waypoint', error: 'thrown text' },
    ]);
    expect(counted()).toBe('2');
  });

  test('that are many are counted alone, and the log says how many it left out', async () => {
    const { faults, lines, clock, counted } = report();
    for (let i = 0; i < FAULTS_LOGGED_PER_WINDOW + 5; i++) faults.tell('a request failed', new Error('no'));
    expect(lines).toHaveLength(FAULTS_LOGGED_PER_WINDOW);
    await clock.advance(FAULT_LOG_WINDOW_MS);
    expect(lines.slice(FAULTS_LOGGED_PER_WINDOW)).toMatchObject([
      { message: 'more faults of the waypoint than are logged', left_out: 5, within_ms: FAULT_LOG_WINDOW_MS },
    ]);
    faults.tell('a request failed', new Error('again'));
    expect(lines.at(-1)).toMatchObject({ error: expect.stringContaining('again') });
    await clock.advance(2 * FAULT_LOG_WINDOW_MS);
    expect(lines).toHaveLength(FAULTS_LOGGED_PER_WINDOW + 2);
    expect(counted()).toBe(String(FAULTS_LOGGED_PER_WINDOW + 6));
  });

  test('say no more than is read', () => {
    const { faults, lines } = report();
    faults.tell('a request failed', 'x'.repeat(1_000_000));
    expect(lines).toMatchObject([{ error: 'x'.repeat(MAX_FAULT_TEXT_LENGTH) }]);
  });

  test('of what ends them are told as well, and nothing is thrown', () => {
    const { faults, lines } = report();
    const fails = (text: string) => () => {
      throw new Error(text);
    };
    faults.contain('a connection failed', fails('once'), fails('twice'));
    expect(lines).toMatchObject([
      { error: expect.stringContaining('once') },
      { error: expect.stringContaining('twice') },
    ]);
  });
});
