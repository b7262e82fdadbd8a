/** Probes the containers of a pod at their periods, and says what changes. */
import type { Clock } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { Probe } from '@ambit/kube/resources/core';
import type { ContainerProcess } from './container-process.ts';
import { type ProbeTarget, runProbe } from './probe.ts';

export interface ProberOptions {
  readonly process: ContainerProcess;
  readonly target: ProbeTarget;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Until aborted. Readiness is told to the container; one that fails its liveness probe is killed and starts again. */
export async function probeContainer(options: ProberOptions, signal: AbortSignal): Promise<void> {
  const { process } = options;
  const { readinessProbe, livenessProbe } = process.container;
  await Promise.all([
    readinessProbe && follow(options, readinessProbe, (well) => process.setReady(well), signal),
    livenessProbe && follow(options, livenessProbe, (well) => !well && process.kill('SIGTERM'), signal),
  ]);
}

async function follow(
  { process, target, clock, log }: ProberOptions,
  probe: Probe,
  tell: (well: boolean) => void,
  signal: AbortSignal,
): Promise<void> {
  const { initialDelaySeconds = 0, periodSeconds = 10, failureThreshold = 3, successThreshold = 1 } = probe;
  let successes = 0;
  let failures = 0;
  let well = false;
  let generation = process.view().restarts;
  await clock.sleep(initialDelaySeconds * 1_000, signal).catch(() => undefined);
  while (!signal.aborted) {
    if (process.view().restarts !== generation) {
      generation = process.view().restarts;
      well = false;
      successes = 0;
      failures = 0;
    }
    if (process.isRunning) {
      const problem = await runProbe(probe, target);
      if (signal.aborted) return;
      successes = problem === undefined ? successes + 1 : 0;
      failures = problem === undefined ? 0 : failures + 1;
      if (problem !== undefined) log.debug('a probe failed', { container: process.container.name, problem });
      if (successes >= successThreshold) well = true;
      if (failures >= failureThreshold) well = false;
      if (well || failures >= failureThreshold) tell(well);
    }
    // Before the first success a kubelet asks at the period too; the lab is in more of a hurry.
    const periodMs = well ? periodSeconds * 1_000 : Math.min(periodSeconds, 1) * 500;
    await clock.sleep(periodMs, signal).catch(() => undefined);
  }
}
