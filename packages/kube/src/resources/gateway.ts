/** The Gateway API's kinds that waypoints are made of, with the fields that we read. */
import type { LabelSelector } from '../label-selector.ts';
import type { KubeObject, Resource } from '../resource.ts';
import type { Condition } from './core.ts';

export interface GatewayListener {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly hostname?: string;
  readonly allowedRoutes?: {
    readonly namespaces?: { readonly from?: string; readonly selector?: LabelSelector };
  };
}

export interface GatewayAddressStatus {
  /** Default `IPAddress`. */
  readonly type?: string;
  readonly value: string;
}

export interface GatewayListenerStatus {
  readonly name: string;
  readonly attachedRoutes?: number;
  readonly supportedKinds?: readonly { readonly group?: string; readonly kind: string }[];
  readonly conditions?: readonly Condition[];
}

export interface Gateway extends KubeObject {
  readonly spec?: {
    readonly gatewayClassName?: string;
    readonly listeners?: readonly GatewayListener[];
    /** Where the Gateway is wanted. `value` may be absent where only a kind of address is. */
    readonly addresses?: readonly { readonly type?: string; readonly value?: string }[];
    readonly infrastructure?: {
      readonly labels?: Readonly<Record<string, string>>;
      readonly annotations?: Readonly<Record<string, string>>;
      readonly parametersRef?: { readonly group: string; readonly kind: string; readonly name: string };
    };
  };
  readonly status?: {
    readonly addresses?: readonly GatewayAddressStatus[];
    readonly conditions?: readonly Condition[];
    readonly listeners?: readonly GatewayListenerStatus[];
  };
}

export interface GatewayClass extends KubeObject {
  readonly spec?: {
    readonly controllerName?: string;
    readonly description?: string;
    readonly parametersRef?: { readonly group: string; readonly kind: string; readonly name: string };
  };
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly supportedFeatures?: readonly { readonly name: string }[];
  };
}

const gatewayApi = { group: 'gateway.networking.k8s.io', version: 'v1' } as const;

export const gateways: Resource<Gateway> = {
  ...gatewayApi,
  kind: 'Gateway',
  plural: 'gateways',
  namespaced: true,
};

export const gatewayClasses: Resource<GatewayClass> = {
  ...gatewayApi,
  kind: 'GatewayClass',
  plural: 'gatewayclasses',
  namespaced: false,
};
