/**
 * `node tools/images/main.ts --out FOLDER [--hub HUB] [--tag TAG] [--roots] [NAME…]`: images as OCI archives.
 *
 * Without names: every image of the product. Needs apt (Debian or Ubuntu) for what images have besides Node and Ambit,
 * and no root.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '@ambit/core/errors';
import { usageProblem } from '@ambit/core/usage-problem';
import { buildImages } from './build-images.ts';
import { IMAGES, imageNamed } from './definitions.ts';

const TOP = new URL('../../', import.meta.url).pathname.replace(/\/$/, '');
const USAGE = `usage: node tools/images/main.ts --out FOLDER [--hub HUB] [--tag TAG] [--roots] [NAME…]
  --hub    default ambit
  --tag    default the version in package.json
  --roots  keeps the root folders in FOLDER/roots, which deploy/images/NAME/Dockerfile copies
  NAME     ${IMAGES.map(({ name }) => name).join(', ')}; default: what a cluster is given
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      hub: { type: 'string', default: 'ambit' },
      tag: { type: 'string', default: version() },
      roots: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const unknown = positionals.filter((name) => !imageNamed(name));
  if (values.out === undefined || unknown.length > 0) {
    if (unknown.length > 0) process.stderr.write(`no such image: ${unknown.join(', ')}\n`);
    process.stderr.write(USAGE);
    return 2;
  }
  // What files and folders are made with must not depend on who makes them.
  process.umask(0o022);
  const built = await buildImages({
    images:
      positionals.length === 0
        ? IMAGES.filter(({ product }) => product)
        : positionals.map(imageNamed).filter((image) => image !== undefined),
    hub: values.hub,
    tag: values.tag,
    outFolder: resolve(values.out),
    keepRoots: values.roots,
    cacheFolder: join(process.env['AMBIT_CACHE'] ?? join(homedir(), '.cache', 'ambit'), 'packages'),
    host: { top: TOP, node: pinnedNode(), arch: process.arch },
  });
  for (const { reference, digest, sizeBytes, ownSizeBytes } of built)
    process.stdout.write(
      `${reference}  ${mebibytes(sizeBytes)} MiB, ${mebibytes(ownSizeBytes)} above the base  ${digest}\n`,
    );
  return 0;
}

function version(): string {
  return (JSON.parse(readFileSync(join(TOP, 'package.json'), 'utf8')) as { readonly version: string })
    .version;
}

/** Images have the Node that npm pins, whatever runs this. */
function pinnedNode(): string {
  const link = join(TOP, 'node_modules', '.bin', 'node');
  return realpathSync(execFileSync(link, ['-p', 'process.execPath'], { encoding: 'utf8' }).trim());
}

function mebibytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}

try {
  process.exitCode = await main();
} catch (error) {
  const problem = usageProblem(error);
  process.stderr.write(`images: ${problem ?? messageOf(error)}\n${problem === undefined ? '' : USAGE}`);
  process.exitCode = problem === undefined ? 1 : 2;
}
