/** `ambit version`. Which versions the proxies run is part of `ambit status`. */
import type { Options } from '../command-line.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { shippedVersion } from '../install/shipped.ts';

export async function version(options: Options, print: (text: string) => void): Promise<ExitCode> {
  const own = await shippedVersion();
  print(
    options.output === 'json'
      ? `${JSON.stringify({ version: own, node: process.versions.node }, undefined, 2)}\n`
      : `ambit ${own} (Node ${process.versions.node})\n`,
  );
  return EXIT.ok;
}
