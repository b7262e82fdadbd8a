import { describe, expect, test } from '@jest/globals';
import type { JsonObject } from '../json.ts';
import { ResourceRegistry } from '../kinds/registry.ts';
import { durationText } from './duration.ts';
import { jsonPathText } from './json-path.ts';
import { tableOf } from './table.ts';

const registry = new ResourceRegistry();
const nowMs = Date.parse('2026-01-01T00:10:00Z');

function rowOf(group: string, plural: string, object: JsonObject): Record<string, unknown> {
  const resource = registry.get(group, 'v1', plural);
  if (!resource) throw new Error(plural);
  const table = tableOf(resource, [object], {}, { version: 'v1', include: 'None', nowMs }) as unknown as {
    columnDefinitions: { name: string }[];
    rows: { cells: unknown[] }[];
  };
  return Object.fromEntries(table.columnDefinitions.map(({ name }, i) => [name, table.rows[0]?.cells[i]]));
}

const metadata = { name: 'a', creationTimestamp: '2026-01-01T00:00:00Z' };

describe('tables', () => {
  test('a pod shows readiness, the telling reason and its node', () => {
    const pod = (status: JsonObject, more: JsonObject = {}): JsonObject => ({
      metadata: { ...metadata, ...more },
      spec: { nodeName: 'n1', containers: [{ name: 'c' }, { name: 'd' }] },
      status,
    });
    const running = {
      phase: 'Running',
      podIP: '10.0.0.1',
      containerStatuses: [{ ready: true, restartCount: 2 }, { ready: false }],
    };
    expect(rowOf('', 'pods', pod(running))).toMatchObject({
      Name: 'a',
      Ready: '1/2',
      Status: 'Running',
      Restarts: '2',
      Age: '10m',
      IP: '10.0.0.1',
      Node: 'n1',
    });
    const broken = {
      phase: 'Running',
      containerStatuses: [{ state: { waiting: { reason: 'CrashLoopBackOff' } } }],
    };
    expect(rowOf('', 'pods', pod(broken))).toMatchObject({ Status: 'CrashLoopBackOff' });
    expect(rowOf('', 'pods', pod(running, { deletionTimestamp: 'x' }))).toMatchObject({
      Status: 'Terminating',
    });
  });

  test('a service shows its ports', () => {
    const spec = {
      type: 'NodePort',
      clusterIP: '10.96.1.1',
      ports: [
        { port: 80, nodePort: 30_080, protocol: 'TCP' },
        { port: 53, protocol: 'UDP' },
      ],
    };
    expect(rowOf('', 'services', { metadata, spec })).toMatchObject({
      'Cluster-IP': '10.96.1.1',
      'External-IP': '<none>',
      'Port(s)': '80:30080/TCP,53/UDP',
    });
  });

  test('a node shows whether it is ready', () => {
    const status = { conditions: [{ type: 'Ready', status: 'True' }], nodeInfo: { kubeletVersion: 'v1' } };
    expect(rowOf('', 'nodes', { metadata, spec: { unschedulable: true }, status })).toMatchObject({
      Status: 'Ready,SchedulingDisabled',
      Roles: '<none>',
      Version: 'v1',
    });
  });

  test.each([
    [0, '0s'],
    [119_000, '119s'],
    [120_000, '2m'],
    [150_000, '2m30s'],
    [3_600_000 * 2, '120m'],
    [3_600_000 * 3, '3h'],
    [3_600_000 * 47, '47h'],
    [86_400_000 * 3, '3d'],
    [86_400_000 * 800, '2y70d'],
    [-5, '0s'],
  ])('%d ms is %s', (ms, want) => expect(durationText(ms)).toBe(want));

  const object = {
    a: {
      'b.c': 'x',
      list: [
        { type: 'T', v: 1 },
        { type: 'U', v: 2 },
      ],
    },
    n: null,
  };
  test.each([
    ['.a.list[0].v', '1'],
    ['{.a.list[-1].v}', '2'],
    ['.a.list[?(@.type=="U")].v', '2'],
    [".a['b.c']", 'x'],
    ['.a.b\\.c', 'x'],
    ['.a.list[*].type', 'T'],
    ['.n', undefined],
    ['.none.x', undefined],
    ['..deep', undefined],
  ])('%s → %s', (path, want) => expect(jsonPathText(object, path)).toBe(want));
});
