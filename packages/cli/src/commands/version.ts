/** `ambit version`. Which versions the proxies run is part of `ambit status`. */
import { VERSION } from '@ambit/core/gen/version';
import type { Options } from '../command-line.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';

export function version(options: Options, print: (text: string) => void): ExitCode {
  print(
    options.output === 'json'
      ? `${JSON.stringify({ version: VERSION, node: process.versions.node }, undefined, 2)}\n`
      : `ambit ${VERSION} (Node ${process.versions.node})\n`,
  );
  return EXIT.ok;
}
