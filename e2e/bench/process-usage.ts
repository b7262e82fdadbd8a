/** What the kernel says a process has used: CPU of all its threads, and memory. */
import { readFileSync } from 'node:fs';

/** Clock ticks a second of /proc/PID/stat, which Linux fixes at 100 for user space. */
const TICKS_PER_SECOND = 100;

/**
 * CPU of all threads since the process started. The sum is exact to a tick; how it is shared the kernel may have sampled at
 * its ticks (CONFIG_TICK_CPU_ACCOUNTING), which is right for loads of seconds, to a few per cent.
 */
export interface CpuUsage {
  readonly userSeconds: number;
  /** In system calls and faults, and most often the interrupts that they met. */
  readonly kernelSeconds: number;
}

export function cpuUsage(pid: number): CpuUsage {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    userSeconds: Number(fields[11]) / TICKS_PER_SECOND,
    kernelSeconds: Number(fields[12]) / TICKS_PER_SECOND,
  };
}

/** User and kernel together. */
export function cpuSeconds(pid: number): number {
  const { userSeconds, kernelSeconds } = cpuUsage(pid);
  return userSeconds + kernelSeconds;
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
