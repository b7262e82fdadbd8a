/** The process once it has its settings: what the machine and the environment are, for app.ts. */
import { existsSync } from 'node:fs';
import { garbageCollector } from '@ambit/core/collect-garbage';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { LogRoot } from '@ambit/core/log';
import { type ConfiguredProxy, runProxyProgram } from '@ambit/core/proxy-process';
import { startApp } from './app.ts';
import { configFrom } from './config.ts';

/** What the entry hands down. */
export interface ProcessOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Runs the command that was asked for; the exit code. */
export function runProcess({ args, env }: ProcessOptions): Promise<number> {
  const program = {
    name: 'waypoint',
    doc: 'serve the services and workloads that use this waypoint',
    reference: 'docs/reference/config/waypoint.md',
    configure: () => configure(env),
  };
  return runProxyProgram(program, args);
}

function configure(env: ProcessOptions['env']): ConfiguredProxy {
  const config = configFrom(env, { exists: (path) => existsSync(path) });
  const log = new LogRoot(config.log);
  return {
    log,
    summary: {
      gateway: `${config.self.namespace}/${config.self.gatewayName}`,
      identity: config.self.identity,
      xds: config.xds?.uri ?? 'none',
      ca: config.fakeCa ? 'fake' : (config.ca?.uri ?? 'none'),
    },
    start: ({ starting, onShutdown }) => {
      const deps = {
        clock: systemClock,
        random: systemRandom,
        log,
        environment: env,
        machineHasIpv6: existsSync('/proc/net/if_inet6'),
        onShutdown,
        collectGarbage: garbageCollector(),
      };
      return startApp(config, deps, starting);
    },
  };
}
