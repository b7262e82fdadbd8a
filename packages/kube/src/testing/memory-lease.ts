/**
 * For tests: a Lease without an API server. It answers at once, so that the clock of the test alone says what happens when.
 */
import type { KubeClient } from '../client.ts';
import { KubeStatusError } from '../errors.ts';
import type { Lease } from '../resources/coordination.ts';

type LeaseClient = Pick<KubeClient, 'find' | 'create' | 'replace'>;

export class MemoryLease {
  /** What the server answers instead, while it is there. */
  problem: Error | undefined;
  #lease: Lease | undefined;
  #version = 0;

  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** As if somebody had written it. */
  put(spec: NonNullable<Lease['spec']>): Lease {
    this.#version += 1;
    const metadata = { namespace: 'ns', name: 'l', resourceVersion: String(this.#version) };
    this.#lease = { metadata, spec };
    return this.#lease;
  }

  /** What replicas reach it by. */
  get client(): LeaseClient {
    const answer = async <T>(what: () => T): Promise<T> => {
      if (this.problem) throw this.problem;
      return await Promise.resolve(what());
    };
    // One kind is all that elections ask for.
    return {
      find: () => answer(() => this.#lease),
      create: (_: unknown, lease: Lease) => answer(() => this.#write(undefined, lease)),
      replace: (_: unknown, lease: Lease) => answer(() => this.#write(lease.metadata.resourceVersion, lease)),
    } as unknown as LeaseClient;
  }

  #write(version: string | undefined, { spec = {} }: Lease): Lease {
    if (version !== this.#lease?.metadata.resourceVersion)
      throw new KubeStatusError('write', 409, 'Conflict', 'the lease is another one by now');
    return this.put(spec);
  }
}
