/**
 * `npm run interop`: gRPC's own interoperability tests through the tunnel and through a waypoint, and h2spec against a
 * waypoint.
 *
 * The programs are built from Go modules; then run.ts plays a mesh of two nodes in network namespaces, as the demo does. The
 * last line is plain: `N passed, N failed`. Where this machine cannot make namespaces it is said; where CI is set that is a
 * failure.
 */
import { spawnSync } from 'node:child_process';
import { messageOf } from '@ambit/core/errors';
import { cacheFolder } from '../cluster/providers.ts';
import { GRPC_CASES } from './cases.ts';
import { interopPrograms } from './programs.ts';

const TOP = new URL('../../', import.meta.url).pathname;
const NOT_RUN_STATUS = 77;
const USAGE = `usage: npm run interop -- [CASE…]
  CASE  of gRPC: ${Object.keys(GRPC_CASES).join(', ')}; default: all`;

const say = (line: string) => process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  if (process.argv.slice(2).some((arg) => arg === '--help' || arg === '-h')) {
    say(USAGE);
    return 0;
  }
  const stopped = new AbortController();
  const stop = () => stopped.abort(new Error('stopped'));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const folder = await interopPrograms(cacheFolder(process.env), say, stopped.signal);
  const command = [
    'tools/netns.ts',
    process.execPath,
    'e2e/interop/run.ts',
    folder,
    ...process.argv.slice(2),
  ];
  const { status } = spawnSync(process.execPath, command, { cwd: TOP, stdio: 'inherit' });
  if (status !== NOT_RUN_STATUS) return status ?? 1;
  say(`0 passed, ${process.env['CI'] === 'true' ? 1 : 0} failed`);
  return process.env['CI'] === 'true' ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  say(`FAILED: ${messageOf(error)}`);
  say('0 passed, 1 failed');
  process.exitCode = 1;
}
