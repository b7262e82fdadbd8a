/** What the kernel says a process has used: CPU of all its threads, and memory. */
import { readFileSync } from 'node:fs';

/** Clock ticks a second of /proc/PID/stat, which Linux fixes at 100 for user space. */
const TICKS_PER_SECOND = 100;

/** User and system CPU seconds of all threads since the process started. */
export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export interface Memory {
  readonly residentBytes: number;
  readonly peakBytes: number;
  readonly threads: number;
}

export function memory(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
  return {
    residentBytes: field('VmRSS') * 1_024,
    peakBytes: field('VmHWM') * 1_024,
    threads: field('Threads'),
  };
}
