/**
 * Code from the protobuf texts in packages/api/proto, through buf and ts-proto, neither of which needs the network.
 *
 * The generator's output is then tightened by the few rewrites below, each for a reason that stands beside it; a rewrite
 * that no longer finds its text fails, so that an update of the generator cannot drop one silently.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { filesBelow, type Output, TOP } from './files.ts';

const API = join(TOP, 'packages/api');

interface Rewrite {
  readonly why: string;
  readonly from: RegExp;
  readonly to: string;
}

const REWRITES: readonly Rewrite[] = [
  {
    why: 'sources run as they are, so nothing but erasable syntax',
    from: /\nexport namespace \w+ \{\n(?: {2}export type .*\n)+\}\n/g,
    to: '',
  },
  {
    why: 'a message that ends inside or beyond its own length is malformed, not short',
    from: /( +)return message;\n( +)\} finally \{/g,
    to: "$1if (reader.pos !== end) throw new globalThis.Error('protobuf message ends at the wrong place');\n$1return message;\n$2} finally {",
  },
  {
    why: 'a group that ends without having begun, or field number 0, is malformed, not an end',
    from: /\(tag & 7\) === 4 \|\| tag === 0\) \{\n( +)break;/g,
    to: "(tag & 7) === 4 || tag === 0) {\n$1throw new globalThis.Error('illegal protobuf tag');",
  },
  {
    why: 'text that is not UTF-8 must not turn into other text',
    from: /\breader\.string\(\)/g,
    to: 'reader.string(true)',
  },
];

export function generateProtobuf(): Output {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-generate-'));
  try {
    const buf = spawnSync(join(TOP, 'node_modules/.bin/buf'), ['generate', '--output', folder], {
      cwd: API,
      encoding: 'utf8',
      env: {
        ...process.env,
        PATH: `${join(TOP, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}`,
        BUF_CACHE_DIR: join(folder, 'cache'),
      },
    });
    if (buf.status !== 0) {
      throw new Error(`buf generate: ${buf.stderr || buf.stdout || String(buf.error)}`, { cause: buf.error });
    }
    return tightened(filesBelow(join(folder, 'src/gen')));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function tightened(files: Output): Output {
  for (const { from, why } of REWRITES) {
    if (![...files.values()].some((text) => text.search(from) >= 0)) {
      throw new Error(`the generator's output has changed, nothing left to rewrite for: ${why}`);
    }
  }
  return new Map(
    [...files].map(([name, text]) => [
      name,
      REWRITES.reduce((before, { from, to }) => before.replace(from, to), text),
    ]),
  );
}
