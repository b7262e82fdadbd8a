import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { saveEvidence } from './evidence.ts';

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
