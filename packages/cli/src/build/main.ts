/** `node packages/cli/src/build/main.ts --out FOLDER`: writes the command as one file, `ambit.mjs`. */
import { statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildCommand } from './build-command.ts';

const { values } = parseArgs({ options: { out: { type: 'string' } } });
if (values.out === undefined) {
  process.stderr.write('usage: node packages/cli/src/build/main.ts --out FOLDER\n');
  process.exit(2);
}
const path = await buildCommand(values.out);
process.stdout.write(`${path} (${Math.ceil(statSync(path).size / 1024)} KiB)\n`);
