/** Whose connections are the kubelet's: the user of its process, found in the host's `/proc`. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Processes looked at; a node has a few thousand. */
const PROCESSES_MAX = 100_000;

/** `undefined` if no process here is a kubelet, under any of the names that distributions give it. */
export function kubeletUid(procDirectory: string): number | undefined {
  for (const pid of processesIn(procDirectory)) {
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

function processesIn(procDirectory: string): readonly string[] {
  try {
    const pids = readdirSync(procDirectory).filter((name) => /^[0-9]+$/.test(name));
    return pids.slice(0, PROCESSES_MAX);
  } catch {
    // The host's processes are not shown to this agent.
    return [];
  }
}
