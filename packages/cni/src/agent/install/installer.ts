/**
 * Keeps the plugin on the node: its file among the CNI binaries, its entry in the CNI configuration.
 *
 * Whoever touches either finds it put back; while it is not in place, `installed` is false and the agent is not ready.
 * A node without any configuration is waited for, since its network is not there yet either.
 */
import { type FSWatcher, mkdirSync, readdirSync, rmSync, watch as watchFolder } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Service } from '@ambit/core/service';
import { type Watch, Watched } from '@ambit/core/watch';
import type { JsonRecord } from '../../json.ts';
import {
  INSTALL_INTERVAL_MS,
  INSTALL_POLL_MS,
  INSTALL_ROUNDS_WARNED,
  INSTALL_SETTLE_MS,
} from '../../limits.ts';
import { PLUGIN_TYPE } from '../../names.ts';
import {
  type ConfigFile,
  coversPrimary,
  isChained,
  isUsable,
  primaryConfig,
  standalone,
  withoutPlugin,
  withPlugin,
} from './conflist.ts';
import { installRuntime, removeOtherRuntimes, type RuntimeFiles, startedBy } from './runtime.ts';
import {
  copyAtomically,
  fingerprintOf,
  modeOf,
  readConfigs,
  readText,
  removeTemporaries,
  writeAtomically,
} from './files.ts';

/** `chained` edits the node's list; `owned` copies it into a list of ours that sorts first; `standalone` is one file. */
export type InstallMode = 'chained' | 'owned' | 'standalone';

export type InstallResult = 'SUCCESS' | 'COPY_BINARIES_FAILURE' | 'CREATE_CNI_CONFIG_FAILURE';

export interface InstallerOptions {
  readonly mode: InstallMode;
  /** Every file in it is copied. */
  readonly binarySource: string;
  /** What scripts among them are run by; without, they stay as they are. */
  readonly runtime?: {
    readonly files: RuntimeFiles;
    /** `binaryTarget` as the node sees it. */
    readonly hostDirectory: string;
  };
  readonly binaryTarget: string;
  readonly configDirectory: string;
  /** Chained and standalone: this file. Default: the first usable one; `YYY-istio-cni.conf`. */
  readonly configName?: string;
  /** Owned: must sort before every other. */
  readonly ownedName: string;
  /** Mode of a configuration file that is new. */
  readonly configMode: number;
  readonly plugin: JsonRecord;
  /** Node's, except in tests. */
  readonly watch?: typeof watchFolder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onInstall: (result: InstallResult) => void;
}

interface WantedConfig extends ConfigFile {
  /** A file that this one takes the place of. */
  readonly replaces?: string;
}

export class Installer implements Service {
  readonly name = 'installer';
  readonly #options: InstallerOptions;
  readonly #installed = new Watched(false);
  readonly #watchers: FSWatcher[] = [];
  readonly #copied = new Map<string, string>();
  #poll: Timer | undefined;
  #pending: Timer | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  #rounds = 0;
  #waiting = false;
  #stopped = false;

  constructor(options: InstallerOptions) {
    this.#options = options;
  }

  /** Whether plugin and configuration are in place, as of the last look. */
  get installed(): Watch<boolean> {
    return this.#installed;
  }

  /** A configuration that is not there yet is no failure, nor is a folder that cannot be watched: it is looked at anyway. */
  start(_signal: AbortSignal): Promise<void> {
    const { binaryTarget, binarySource, configDirectory, clock, log, watch = watchFolder } = this.#options;
    mkdirSync(binaryTarget, { recursive: true });
    mkdirSync(configDirectory, { recursive: true });
    for (const directory of new Set([binarySource, binaryTarget, configDirectory])) {
      const failed = (error: unknown) =>
        log.warn('a folder cannot be watched, and is looked at now and then', {
          directory,
          error: messageOf(error),
        });
      try {
        this.#watchers.push(watch(directory, { persistent: false }, () => this.#soon()).on('error', failed));
      } catch (error) {
        // The machine's limit of inotify instances is shared by all that root runs on it.
        failed(error);
      }
    }
    this.#poll = clock.every(INSTALL_POLL_MS, () => this.#look());
    this.#look();
    return Promise.resolve();
  }

  /** Stops looking. What is installed stays: see {@link uninstall}. */
  drain(): Promise<void> {
    this.#stopped = true;
    this.#poll?.cancel();
    this.#pending?.cancel();
    for (const watcher of this.#watchers.splice(0)) watcher.close();
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
  }

  /**
   * Takes the entry and the binaries away; the entry first, so that no runtime looks for a file that is gone.
   *
   * @param keep - `own list`: where the list is ours, it and the binaries stay, so that pods fail while there is no agent.
   */
  async uninstall(keep: 'own list' | 'nothing' = 'nothing'): Promise<void> {
    await this.drain();
    this.#installed.set(false);
    const { configDirectory, mode, ownedName, binarySource, binaryTarget } = this.#options;
    if (mode === 'owned' && keep === 'own list') return;
    for (const file of readConfigs(configDirectory)) {
      const path = join(configDirectory, file.name);
      const isOurs = mode === 'owned' && file.name === ownedName;
      const rest = isOurs ? 'nothing left' : withoutPlugin(file);
      if (rest === 'nothing left') rmSync(path, { force: true });
      else if (rest) writeAtomically(path, rest.text, modeOf(path, this.#options.configMode));
    }
    for (const name of readdirSync(binarySource)) rmSync(join(binaryTarget, name), { force: true });
    if (this.#options.runtime) removeOtherRuntimes(binaryTarget);
  }

  #soon(): void {
    if (this.#pending || this.#stopped) return;
    const { clock } = this.#options;
    const waitMs = Math.max(INSTALL_SETTLE_MS, this.#lastMs + INSTALL_INTERVAL_MS - clock.monotonicMs());
    this.#pending = clock.after(waitMs, () => {
      this.#pending = undefined;
      this.#look();
    });
  }

  #look(): void {
    if (this.#stopped) return;
    const { clock, log, onInstall } = this.#options;
    const changed = this.#attempt('COPY_BINARIES_FAILURE', () => this.#installBinaries());
    const configured =
      changed === undefined
        ? undefined
        : this.#attempt('CREATE_CNI_CONFIG_FAILURE', () => this.#installConfig());
    const inPlace = configured !== undefined && configured !== 'waiting';
    this.#set(inPlace);
    if (!inPlace) return;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#lastMs > INSTALL_POLL_MS) this.#rounds = 0;
    if (!changed && configured === 'in place') return;
    this.#lastMs = nowMs;
    this.#rounds += 1;
    onInstall('SUCCESS');
    log.info('the plugin was put in place', { binaries: changed, configuration: configured === 'written' });
    if (this.#rounds === INSTALL_ROUNDS_WARNED)
      log.warn('somebody keeps changing the CNI configuration back (with Cilium: set cni.exclusive=false)');
  }

  #attempt<T>(failure: InstallResult, run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      this.#options.onInstall(failure);
      this.#options.log.error('installing the plugin failed', { step: failure, error: messageOf(error) });
      return undefined;
    }
  }

  #set(installed: boolean): void {
    if (this.#installed.value !== installed) this.#installed.set(installed);
  }

  /** @returns whether anything had to be copied. */
  #installBinaries(): boolean {
    const { binarySource, binaryTarget, runtime } = this.#options;
    let changed = runtime ? installRuntime(runtime.files, binaryTarget) : false;
    for (const name of readdirSync(binarySource)) {
      if (name.includes('.tmp.')) continue;
      const [from, to] = [join(binarySource, name), join(binaryTarget, name)];
      const script = scriptOf(from);
      if (runtime && script !== undefined) {
        const text = startedBy(script, runtime.files, runtime.hostDirectory);
        if (readText(to) === text && isExecutable(to)) continue;
        removeTemporaries(binaryTarget, name);
        writeAtomically(to, text, 0o755);
        changed = true;
        continue;
      }
      const now = `${fingerprintOf(from)} ${fingerprintOf(to)}`;
      if (this.#copied.get(name) === now) continue;
      removeTemporaries(binaryTarget, name);
      copyAtomically(from, to);
      this.#copied.set(name, `${fingerprintOf(from)} ${fingerprintOf(to)}`);
      changed = true;
    }
    if (changed && runtime) removeOtherRuntimes(binaryTarget, runtime.files.folderName);
    return changed;
  }

  #installConfig(): 'in place' | 'written' | 'waiting' {
    const {
      mode,
      plugin,
      configDirectory,
      configMode,
      configName = `YYY-${PLUGIN_TYPE}.conf`,
    } = this.#options;
    const files = readConfigs(configDirectory);
    const former = formerList(files, this.#options);
    const others = files.filter((file) => file !== former);
    const dropFormer = () => {
      if (!former) return;
      rmSync(join(configDirectory, former.name), { force: true });
      this.#options.log.info('a list of our own from before is gone, the node’s own counts again', {
        file: former.name,
      });
    };
    if (mode === 'standalone') {
      const done = this.#write({ name: configName, text: standalone(plugin) });
      dropFormer();
      return done;
    }
    const target = mode === 'owned' ? this.#ownedConfig(files) : this.#chainedConfig(others);
    if (target === 'in place') {
      dropFormer();
      return target;
    }
    if (target === undefined) {
      if (!this.#waiting)
        this.#options.log.info('waiting for a CNI configuration', { directory: configDirectory });
      this.#waiting = true;
      return 'waiting';
    }
    this.#waiting = false;
    const { replaces } = target;
    // The list first: a runtime that looks in between finds either of two that work.
    const done = this.#write(
      target,
      replaces === undefined ? undefined : modeOf(join(configDirectory, replaces), configMode),
    );
    if (replaces !== undefined) rmSync(join(configDirectory, replaces), { force: true });
    dropFormer();
    return replaces === undefined ? done : 'written';
  }

  #chainedConfig(files: readonly ConfigFile[]): WantedConfig | 'in place' | undefined {
    const { configName, plugin } = this.#options;
    const named =
      configName === undefined ? undefined : files.filter(({ name }) => sameStem(name, configName));
    const primary = named ? named.find(isUsable) : primaryConfig(files);
    if (!primary) return undefined;
    if (isChained(primary, plugin)) return 'in place';
    const chained = withPlugin(primary, plugin);
    return chained && (chained.name === primary.name ? chained : { ...chained, replaces: primary.name });
  }

  #ownedConfig(files: readonly ConfigFile[]): WantedConfig | 'in place' | undefined {
    const { ownedName, plugin } = this.#options;
    const primary = primaryConfig(files, [ownedName]);
    const owned = files.find(({ name }) => name === ownedName);
    // Without a primary an owned list that is there stays as it is: the node is restarting.
    if (!primary) return owned && isChained(owned, plugin) ? 'in place' : undefined;
    if (primary.name < ownedName)
      throw new Error(`${ownedName} does not sort before ${primary.name}, so runtimes would not use it`);
    if (owned && coversPrimary(owned, primary, plugin)) return 'in place';
    const list = withPlugin(primary, plugin);
    return list && { name: ownedName, text: list.text };
  }

  #write(file: ConfigFile, mode?: number): 'in place' | 'written' {
    const path = join(this.#options.configDirectory, file.name);
    if (readText(path) === file.text) return 'in place';
    writeAtomically(path, file.text, mode ?? modeOf(path, this.#options.configMode));
    return 'written';
  }
}

/**
 * The list that an agent left which was told to have one of its own, where this one is not: it sorts first, so runtimes
 * would go on with a copy that nobody keeps up. Where it is all there is, it is somebody's.
 */
function formerList(
  files: readonly ConfigFile[],
  { mode, ownedName, configName }: InstallerOptions,
): ConfigFile | undefined {
  if (mode === 'owned' || (configName !== undefined && sameStem(ownedName, configName))) return undefined;
  const found = files.find(({ name }) => name === ownedName);
  return found && withoutPlugin(found) && primaryConfig(files, [ownedName]) ? found : undefined;
}

/** The text of a script; `undefined` for every other file. */
function scriptOf(path: string): string | undefined {
  const text = readText(path);
  return text?.startsWith('#!') === true ? text : undefined;
}

function isExecutable(path: string): boolean {
  return (modeOf(path, 0) & 0o111) === 0o111;
}

/** `10-net.conf` stands for `10-net.conflist` as well, and the other way round. */
function sameStem(name: string, wanted: string): boolean {
  const stem = (text: string) => text.replace(/\.conf(list)?$/, '');
  return stem(name) === stem(wanted);
}
