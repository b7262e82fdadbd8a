/**
 * Network → IP (or namespace → hostname) → the values there. Nearly every address has one value, which is stored bare: ten thousand lists of one
 * would cost more than what is in them.
 */
export class AddressMap<T extends object> {
  readonly #networks = new Map<string, Map<string, T | readonly T[]>>();

  add(network: string, ip: string, value: T): void {
    const addresses = this.#networks.get(network) ?? new Map<string, T | readonly T[]>();
    this.#networks.set(network, addresses);
    const present = addresses.get(ip);
    addresses.set(ip, present === undefined ? value : [...listOf(present), value]);
  }

  /** Takes `value` away where it is; elsewhere nothing happens. */
  remove(network: string, ip: string, value: T): void {
    const addresses = this.#networks.get(network);
    const present = addresses?.get(ip);
    if (!addresses || present === undefined) return;
    const [first, ...others] = listOf(present).filter((other) => other !== value);
    if (first === undefined) addresses.delete(ip);
    else addresses.set(ip, others.length === 0 ? first : [first, ...others]);
    if (addresses.size === 0) this.#networks.delete(network);
  }

  /** In the order in which they were added. */
  get(network: string, ip: string): readonly T[] {
    const present = this.#networks.get(network)?.get(ip);
    return present === undefined ? [] : listOf(present);
  }
}

function listOf<T extends object>(present: T | readonly T[]): readonly T[] {
  return Array.isArray(present) ? (present as readonly T[]) : [present as T];
}
