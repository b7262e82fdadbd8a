/** Whose connections are the kubelet's: the user of its process, found in the host's `/proc`. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Processes looked at; a node has a few thousand. */
const PROCESSES_MAX = 100_000;

/** `undefined` if no process here is a kubelet, under any of the names that distributions give it. */
export function kubeletUid(procDirectory: string): number | undefined {
  const pids = readdirSync(procDirectory).filter((name) => /^[0-9]+$/.test(name));
  for (const pid of pids.slice(0, PROCESSES_MAX)) {
    try {
      const name = readFileSync(join(procDirectory, pid, 'comm'), 'utf8').trim();
      if (!/^(kubelet|kubelite|k3s(-server|-agent)?)$/.test(name)) continue;
      const commandLine = readFileSync(join(procDirectory, pid, 'cmdline'), 'utf8');
      if (name === 'kubelite' && !commandLine.includes('kubelet')) continue;
      return statSync(join(procDirectory, pid)).uid;
    } catch {
      // It ended while it was looked at.
    }
  }
  return undefined;
}
