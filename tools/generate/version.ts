/** The version of the product as a constant: package.json holds it, and bundles have no package.json. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Output, TOP } from './files.ts';

export function versionConstant(): Output {
  const { version } = JSON.parse(readFileSync(join(TOP, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  const lines = [
    '/** What this build is. Generated from package.json by `npm run generate`; do not edit. */',
    `export const VERSION = '${version}';`,
  ];
  return new Map([['version.ts', `${lines.join('\n')}\n`]]);
}
