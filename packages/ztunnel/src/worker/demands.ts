/**
 * Addresses asked for when a connection needs them, where the control plane sends none unasked.
 *
 * A key is asked for once while its answer is awaited. One that was answered with nothing is not asked for again: the
 * control plane keeps the subscription and tells when it comes to be.
 */
import type { MeshView } from '@ambit/model/mesh';
import { neededAddresses } from '@ambit/model/decide/needed';
import type { RouteRequest } from '@ambit/model/decide/route';
import { DEMAND_WAIT_MS, MAX_DEMAND_ROUNDS, MAX_KNOWN_ABSENT } from './limits.ts';
import type { MeshWaits } from './mesh-waits.ts';

export class Demands {
  readonly #mesh: MeshView;
  readonly #waits: MeshWaits;
  readonly #ask: (key: string) => void;
  readonly #pending = new Map<string, number>();
  readonly #absent = new Set<string>();

  constructor(mesh: MeshView, waits: MeshWaits, ask: (key: string) => void) {
    this.#mesh = mesh;
    this.#waits = waits;
    this.#ask = ask;
  }

  /** Resolves when the mesh has what a route needs, or it turned out that there is no more to be had. */
  async forRoute(request: RouteRequest): Promise<void> {
    for (let round = 0; round < MAX_DEMAND_ROUNDS; round++) {
      const wanted = () => neededAddresses(this.#mesh, request).filter((key) => !this.#absent.has(key));
      const keys = wanted();
      if (keys.length === 0) return;
      await this.#fetch(keys, wanted);
    }
  }

  /** The control plane says that these do not exist. */
  answeredWithNothing(keys: readonly string[]): void {
    const mine = keys.filter((key) => this.#pending.has(key));
    if (mine.length === 0) return;
    if (this.#absent.size + mine.length > MAX_KNOWN_ABSENT) this.#absent.clear();
    for (const key of mine) this.#absent.add(key);
    this.#waits.askAgain();
  }

  async #fetch(keys: readonly string[], wanted: () => readonly string[]): Promise<void> {
    for (const key of keys) {
      const asking = this.#pending.get(key) ?? 0;
      this.#pending.set(key, asking + 1);
      if (asking === 0) this.#ask(key);
    }
    const arrived = () => (wanted().some((key) => keys.includes(key)) ? undefined : true);
    const all = await this.#waits.until(arrived, DEMAND_WAIT_MS);
    for (const key of keys) {
      const asking = (this.#pending.get(key) ?? 1) - 1;
      if (asking > 0) this.#pending.set(key, asking);
      else this.#pending.delete(key);
    }
    if (!all) for (const key of wanted()) this.#absent.add(key);
  }
}
