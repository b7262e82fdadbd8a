/**
 * `node tools/netns.ts COMMAND…`: runs a command in a sandbox of namespaces and passes its exit status on.
 *
 * Exits 77 when this machine cannot make one, after saying why: the caller tells "could not run" from "failed".
 */
import { probeSandbox, SANDBOX_VARIABLE, SandboxError, spawnInSandbox } from '../packages/lab/src/sandbox.ts';

const NOT_RUN_STATUS = 77;

function main(): void {
  const command = process.argv.slice(2);
  if (command.length === 0) {
    process.stderr.write('usage: node tools/netns.ts COMMAND…\n');
    process.exitCode = 2;
    return;
  }
  const asRoot = process.getuid?.() === 0;
  const inside = process.env[SANDBOX_VARIABLE] === '1';
  try {
    if (!inside) probeSandbox(asRoot);
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    process.stderr.write(`NOT RUN: ${error.message}\n`);
    process.exitCode = NOT_RUN_STATUS;
    return;
  }
  const child = spawnInSandbox(command, { asRoot, env: process.env });
  // The terminal sends Ctrl-C to the whole foreground group. SIGTERM comes to this process alone, and unshare blocks it:
  // killing unshare ends everything inside, and there is nothing to tidy up outside.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGKILL'));
  child.on('close', (status, signal) => {
    process.exitCode = status ?? (signal === 'SIGINT' ? 130 : 1);
  });
}

main();
