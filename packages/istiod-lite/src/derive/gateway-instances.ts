/** Pods → who stands behind each Gateway. */
import type { Collection } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import { IndexCollection } from '@ambit/collections/index-by';
import { GATEWAY_NAME_LABEL, waypointKey } from '../translate/waypoint.ts';
import { type GraphContext, sameContent } from './context.ts';

export interface GatewayInstance {
  /** `namespace/name` of the Gateway. */
  readonly gateway: string;
  /** Name of the service account, in the Gateway's namespace. */
  readonly account: string;
}

/** By `namespace/name` of the Gateway, which need not be there: pods that have not ended, with or without an address. */
export type GatewayInstances = Collection<string, readonly GatewayInstance[]>;

export function deriveGatewayInstances({ inputs, scheduler }: GraphContext): GatewayInstances {
  const instances = derivedValues({
    name: 'instances of gateways',
    scheduler,
    from: inputs.pods,
    compute: ({ metadata, spec, status }): GatewayInstance | undefined => {
      const { namespace = '', labels } = metadata;
      const name = labels?.[GATEWAY_NAME_LABEL];
      if (!name || status?.phase === 'Succeeded' || status?.phase === 'Failed') return undefined;
      return { gateway: waypointKey({ namespace, name }), account: spec?.serviceAccountName || 'default' };
    },
    equals: sameContent,
  });
  return new IndexCollection({
    name: 'instances of gateways by gateway',
    scheduler,
    from: instances,
    keysOf: ({ gateway }) => [gateway],
  });
}
