/** `node packages/cni/src/build/main.ts --out DIRECTORY`: writes the plugin as one file, `istio-cni`. */
import { realpathSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildPlugin } from './build-plugin.ts';

const { values } = parseArgs({
  options: { out: { type: 'string' } },
});
if (values.out === undefined) {
  process.stderr.write('usage: node packages/cni/src/build/main.ts --out DIRECTORY\n');
  process.exit(2);
}
const path = await buildPlugin({
  outDirectory: values.out,
  node: realpathSync(process.execPath),
});
process.stdout.write(`${path} (${Math.ceil(statSync(path).size / 1024)} KiB)\n`);
