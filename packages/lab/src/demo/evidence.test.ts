import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { failedLines, saveEvidence } from './evidence.ts';

const top = mkdtempSync(join(tmpdir(), 'ambit-evidence-'));
afterAll(() => rmSync(top, { recursive: true }));

test('a file for each container, also of pods that shared a name, and one for the story', () => {
  const folder = join(top, 'logs');
  const web = { namespace: 'shop', pod: 'web', container: 'main', node: 'node-a' };
  saveEvidence(
    folder,
    [
      { ...web, uid: '11111111-old', text: Buffer.from('old\n') },
      { ...web, uid: '22222222-new', text: Buffer.from('new\n') },
    ],
    ['1. A shop', '   FAIL'],
  );
  const files = Object.fromEntries(
    readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
  );
  expect(files).toEqual({
    'demo.log': '1. A shop\n   FAIL\n',
    'node-a.shop.web.main.11111111.log': 'old\n',
    'node-a.shop.web.main.22222222.log': 'new\n',
  });
});

test('what failed is told from all programs of the shop in its order, and of much the last', () => {
  const log = (namespace: string, pod: string, lines: readonly string[]) => ({
    ...{ namespace, pod, container: 'main', node: 'node-a', uid: pod },
    text: Buffer.from(lines.map((line) => `${line}\n`).join('')),
  });
  const at = (second: number) =>
    `2026-01-01T00:00:${String(second).padStart(2, '0')}.000Z request failed after 3 ms, not connected: no`;
  const logs = [
    log('shop', 'web', [at(2), 'listening']),
    log('shop', 'api', [at(1), at(3)]),
    log('istio-system', 'ztunnel', [at(4)]),
  ];
  expect(failedLines(logs, 'shop')).toEqual([`api: ${at(1)}`, `web: ${at(2)}`, `api: ${at(3)}`]);
  const many = failedLines(
    [
      log(
        'shop',
        'web',
        Array.from({ length: 14 }, (_, i) => at(i)),
      ),
    ],
    'shop',
  );
  expect([many.length, many[0], many[1]]).toEqual([11, '4 earlier ones, and then:', `web: ${at(4)}`]);
});
