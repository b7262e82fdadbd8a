/** `node packages/cli/src/build/main.ts --out FOLDER`: writes the command as one file, `ambit.mjs`. */
import { statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { messageOf } from '@ambit/core/errors';
import { usageProblem } from '@ambit/core/usage-problem';
import { buildCommand } from './build-command.ts';

const USAGE = 'usage: node packages/cli/src/build/main.ts --out FOLDER\n';

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { out: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false } },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (values.out === undefined) {
    process.stderr.write(USAGE);
    return 2;
  }
  const path = await buildCommand(values.out);
  process.stdout.write(`${path} (${Math.ceil(statSync(path).size / 1024)} KiB)\n`);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const problem = usageProblem(error);
  process.stderr.write(`build: ${problem ?? messageOf(error)}\n${problem === undefined ? '' : USAGE}`);
  process.exitCode = problem === undefined ? 1 : 2;
}
