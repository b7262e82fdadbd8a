/** Namespaces for tests: made under a folder of their own, configured with `ip` and `nft`, gone at the end. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNetns, type Netns, removeNetns } from '../netns.ts';

export interface TestNetns extends Netns {
  readonly path: string;
  /** Runs a command line inside and returns what it printed; throws if it fails. */
  run(...command: readonly string[]): string;
  /** Loads a ruleset inside. */
  nft(rules: string): void;
}

export class TestNamespaces implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'ambit-netns-'));
  readonly #made: TestNetns[] = [];

  /** A namespace whose loopback is up. */
  create(): TestNetns {
    const path = join(this.#folder, `ns${this.#made.length}`);
    const netns = createNetns(path);
    const run = (...command: readonly string[]) =>
      execFileSync('nsenter', [`--net=${path}`, ...command], { encoding: 'utf8' });
    const made: TestNetns = {
      ...netns,
      path,
      run,
      nft: (rules) => {
        execFileSync('nsenter', [`--net=${path}`, 'nft', '-f', '-'], { input: rules });
      },
    };
    this.#made.push(made);
    run('ip', 'link', 'set', 'lo', 'up');
    return made;
  }

  [Symbol.dispose](): void {
    for (const netns of this.#made) {
      netns.close();
      removeNetns(netns.path);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
