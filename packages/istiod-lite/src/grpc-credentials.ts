/** TLS of a gRPC server whose certificate is replaced while it runs. */
import type { Watch } from '@ambit/core/watch';
import { ServerCredentials } from '@grpc/grpc-js';
import type { ServingPair } from './serving-certificate.ts';

export class RenewedCredentials extends ServerCredentials implements Disposable {
  readonly #subscription: Disposable;

  constructor(pair: Watch<ServingPair>) {
    super({ minVersion: 'TLSv1.2' }, { ...pair.value });
    this.#subscription = pair.subscribe(({ cert, key }) => this.updateSecureContextOptions({ cert, key }));
  }

  override _equals(other: ServerCredentials): boolean {
    return other === this;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}
