/**
 * Addresses asked for when a connection needs them, where the control plane sends none unasked.
 *
 * A key is asked for once while its answer is awaited. One that was answered with nothing is not asked for again: the
 * control plane keeps the subscription and tells when it comes to be. No answer is not "nothing": a connection whose
 * destination is not known to be outside the mesh may not leave in clear.
 */
import { formatNetworkAddress } from '@ambit/model/address';
import type { MeshView } from '@ambit/model/mesh';
import { neededAddresses } from '@ambit/model/decide/needed';
import type { RouteRequest } from '@ambit/model/decide/route';
import { DEMAND_WAIT_MS, MAX_DEMAND_ROUNDS, MAX_KNOWN_ABSENT } from './limits.ts';
import { NoAnswerError } from './errors.ts';
import type { MeshWaits } from '@ambit/model/mesh-waits';

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

  /**
   * Resolves when the mesh has what a route needs, or was told that there is no more to be had.
   *
   * @throws {@link NoAnswerError}
   */
  async forRoute(request: RouteRequest): Promise<void> {
    const wanted = () => neededAddresses(this.#mesh, request).filter((key) => !this.#absent.has(key));
    for (let round = 0; round < MAX_DEMAND_ROUNDS; round++) {
      const keys = wanted();
      if (keys.length === 0) return;
      if (!(await this.#fetch(keys, wanted))) throw new NoAnswerError(wanted());
    }
    const rest = wanted();
    if (rest.length > 0) throw new NoAnswerError(rest);
  }

  /** Resolves when the mesh knows who owns an address, or it turned out that nobody does. */
  async forAddress(network: string, ip: string): Promise<void> {
    const key = formatNetworkAddress({ network, ip });
    const isKnown = () =>
      (this.#mesh.workloadAt(network, ip) ?? this.#mesh.serviceAt(network, ip, undefined)) !== undefined;
    if (!isKnown() && !this.#absent.has(key)) {
      await this.#fetch([key], () => (isKnown() || this.#absent.has(key) ? [] : [key]));
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

  /** Whether all of them were answered in time. */
  async #fetch(keys: readonly string[], wanted: () => readonly string[]): Promise<boolean> {
    for (const key of keys) {
      const asking = this.#pending.get(key) ?? 0;
      this.#pending.set(key, asking + 1);
      if (asking === 0) this.#ask(key);
    }
    const arrived = () => (wanted().some((key) => keys.includes(key)) ? undefined : true);
    try {
      return (await this.#waits.until(arrived, DEMAND_WAIT_MS)) === true;
    } finally {
      for (const key of keys) this.#forget(key);
    }
  }

  /** One less waits for it; after the last it may be asked for anew. */
  #forget(key: string): void {
    const asking = (this.#pending.get(key) ?? 1) - 1;
    if (asking > 0) this.#pending.set(key, asking);
    else this.#pending.delete(key);
  }
}
