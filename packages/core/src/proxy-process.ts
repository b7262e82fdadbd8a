/**
 * The process of a proxy, from its configuration to its exit code: command line, signals, what cannot be gone on from.
 *
 * Exit codes: 0 after a graceful end, 1 for whatever kept it from starting or could not be gone on from. A second signal
 * does not wait for the end that the first began.
 */
import { flushCompileCache } from 'node:module';
import { messageOf } from './errors.ts';
import { VERSION } from './gen/version.ts';
import type { LogRoot } from './log.ts';

export interface ProxyProgram {
  /** As the log and the version name it. */
  readonly name: string;
  /** What the command `proxy`, which is the default, does. */
  readonly doc: string;
  /** Where its variables are described. */
  readonly reference: string;
  /** Reads the configuration. What it throws ends the process before anything has begun. */
  readonly configure: () => ConfiguredProxy;
}

export interface ConfiguredProxy {
  readonly log: LogRoot;
  /** For the first line of the log. */
  readonly summary: Readonly<Record<string, unknown>>;
  /** Rejects with the signal's reason if it is aborted meanwhile. */
  readonly start: (life: ProxyLife) => Promise<RunningProxy>;
}

export interface ProxyLife {
  /** Abandons a start still under way. */
  readonly starting: AbortSignal;
  /** Ends the process gracefully. */
  readonly onShutdown: (reason: string) => void;
  /** Ends it now. */
  readonly onFatal: (error: unknown) => void;
}

export interface RunningProxy {
  /** Drains, and resolves when all has ended. */
  stop(): Promise<void>;
}

/** Runs the command that was asked for; the exit code. */
export async function runProxyProgram(program: ProxyProgram, args: readonly string[]): Promise<number> {
  const [command = 'proxy'] = args;
  try {
    switch (command) {
      case 'proxy':
        await run(program);
        return 0;
      case 'version':
        process.stdout.write(`ambit ${program.name} ${VERSION} (Node.js ${process.versions.node})\n`);
        return 0;
      case 'help':
        process.stdout.write(helpOf(program));
        return 0;
      default:
        process.stderr.write(`unknown command: ${command}\n${helpOf(program)}`);
        return 1;
    }
  } catch (error) {
    process.stderr.write(`Error: ${messageOf(error)}\n`);
    return 1;
  }
}

async function run({ name, configure }: ProxyProgram): Promise<void> {
  const { log, summary, start } = configure();
  const logger = log.scope('main');
  const end = Promise.withResolvers<string>();
  const onFatal = (error: unknown) => {
    logger.error('cannot go on', { error: messageOf(error) });
    process.exit(1);
  };
  process.on('uncaughtException', onFatal);
  process.on('unhandledRejection', onFatal);
  logger.info(name, { version: VERSION, node: process.versions.node, pid: process.pid, ...summary });
  let signals = 0;
  const starting = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      signals += 1;
      if (signals > 1) onFatal(new Error(`second signal, ${signal}, while shutting down`));
      end.resolve(signal);
      starting.abort(new Error(`${signal} while starting`));
    });
  }
  const life = { starting: starting.signal, onShutdown: end.resolve, onFatal };
  const app = await start(life).catch((error: unknown) => {
    if (error === starting.signal.reason) return undefined;
    throw error;
  });
  if (!app) {
    logger.info('shutting down', { reason: messageOf(starting.signal.reason) });
    return;
  }
  flushCompileCache();
  logger.info('shutting down', { reason: await end.promise });
  await app.stop();
}

function helpOf({ name, doc, reference }: ProxyProgram): string {
  return `usage: ${name} [proxy|version|help]

proxy    (default) ${doc}
version  print the version
help     print this

Everything is configured by environment variables; see ${reference}.
`;
}
