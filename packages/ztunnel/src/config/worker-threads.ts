/** How many data workers there are: Istio's formula. Pure. */

export type WorkerThreads =
  | { readonly kind: 'count'; readonly threads: number }
  | { readonly kind: 'share'; readonly percent: number };

/** `4`, `0` (one for each core) or `50%`. */
export function parseWorkerThreads(text: string): WorkerThreads | undefined {
  if (/^\+?[0-9]{1,5}$/.test(text)) return { kind: 'count', threads: Number(text) };
  const percent = Number(/^\+?([0-9.]{1,8})%$/.exec(text)?.[1]);
  return percent > 0 && percent <= 100 ? { kind: 'share', percent } : undefined;
}

/** Whole cores of `2`, `1.5` or `500m`, rounded up. */
export function parseCpus(text: string): number | undefined {
  const match = /^\+?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(m?)$/.exec(text.trim());
  const cores = Number(match?.[1]) / (match?.[2] === 'm' ? 1_000 : 1);
  return cores > 0 && Number.isFinite(cores) ? Math.ceil(cores) : undefined;
}

export interface ThreadInputs {
  readonly workerThreads: WorkerThreads | undefined;
  /** ProxyConfig's; 0: one for each core. */
  readonly concurrency: number | undefined;
  readonly resourceCpuLimit: number | undefined;
  readonly resourceCpuRequest: number | undefined;
  readonly cpuLimit: number | undefined;
  /** Logical CPUs of the machine. */
  readonly machineCpus: number;
}

export function workerThreadCount(inputs: ThreadInputs): number {
  const { workerThreads, concurrency, resourceCpuLimit, resourceCpuRequest = 0 } = inputs;
  const cores = resourceCpuLimit ?? inputs.cpuLimit ?? inputs.machineCpus;
  if (workerThreads?.kind === 'count') return Math.max(1, workerThreads.threads || cores);
  if (workerThreads?.kind === 'share') return Math.max(1, Math.ceil((cores * workerThreads.percent) / 100));
  if (concurrency !== undefined) return Math.max(1, concurrency || cores);
  if (resourceCpuLimit !== undefined) return Math.max(1, resourceCpuLimit, resourceCpuRequest);
  return Math.max(2, Math.ceil(cores * 0.25), resourceCpuRequest);
}
