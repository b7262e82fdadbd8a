/** `ambit version`. Which versions the proxies run is part of `ambit status`. */
import { readFile } from 'node:fs/promises';
import type { Options } from '../command-line.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { objectOf, textOf } from '../json-value.ts';

export async function version(options: Options, print: (text: string) => void): Promise<ExitCode> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
  const own = textOf(objectOf(JSON.parse(text))['version']);
  print(
    options.output === 'json'
      ? `${JSON.stringify({ version: own, node: process.versions.node }, undefined, 2)}\n`
      : `ambit ${own} (Node ${process.versions.node})\n`,
  );
  return EXIT.ok;
}
