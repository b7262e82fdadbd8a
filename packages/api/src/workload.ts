/**
 * Addresses as the control plane sends them (istio.workload): the messages, their enumerations and their bytes.
 *
 * These are the wire's own shapes, with every field present; what the mesh makes of them is `@ambit/model`.
 */
import { decodeBounded, encodeWhole } from './codec.ts';
import {
  Address as AddressMessage,
  ApplicationTunnel_Protocol as ApplicationProtocolNumbers,
  AppProtocol as AppProtocolNumbers,
  IPFamilies as IpFamiliesNumbers,
  LoadBalancing_HealthPolicy as HealthPolicyNumbers,
  LoadBalancing_Mode as LoadBalancingModeNumbers,
  LoadBalancing_Scope as LoadBalancingScopeNumbers,
  NetworkMode as NetworkModeNumbers,
  Service as ServiceMessage,
  Service_Visibility as VisibilityNumbers,
  TunnelProtocol as TunnelProtocolNumbers,
  Workload as WorkloadMessage,
  WorkloadStatus as WorkloadStatusNumbers,
  WorkloadType as WorkloadTypeNumbers,
} from './gen/istio/workload.ts';
import { MAX_RESOURCE_BYTES } from './limits.ts';

export type {
  Address,
  ApplicationTunnel,
  Extension,
  GatewayAddress,
  LoadBalancing,
  Locality,
  NamespacedHostname,
  NetworkAddress,
  Port,
  PortList,
  Service,
  WeightedWaypoint,
  Workload,
} from './gen/istio/workload.ts';

export const ADDRESS_TYPE_URL = 'type.googleapis.com/istio.workload.Address';

export const AppProtocol = AppProtocolNumbers;
export type AppProtocol = AppProtocolNumbers;
export const ApplicationTunnelProtocol = ApplicationProtocolNumbers;
export type ApplicationTunnelProtocol = ApplicationProtocolNumbers;
export const HealthPolicy = HealthPolicyNumbers;
export type HealthPolicy = HealthPolicyNumbers;
export const IpFamilies = IpFamiliesNumbers;
export type IpFamilies = IpFamiliesNumbers;
export const LoadBalancingMode = LoadBalancingModeNumbers;
export type LoadBalancingMode = LoadBalancingModeNumbers;
export const LoadBalancingScope = LoadBalancingScopeNumbers;
export type LoadBalancingScope = LoadBalancingScopeNumbers;
export const NetworkMode = NetworkModeNumbers;
export type NetworkMode = NetworkModeNumbers;
export const TunnelProtocol = TunnelProtocolNumbers;
export type TunnelProtocol = TunnelProtocolNumbers;
export const Visibility = VisibilityNumbers;
export type Visibility = VisibilityNumbers;
export const WorkloadStatus = WorkloadStatusNumbers;
export type WorkloadStatus = WorkloadStatusNumbers;
export const WorkloadType = WorkloadTypeNumbers;
export type WorkloadType = WorkloadTypeNumbers;

/** @throws {@link ProtobufError} */
export function decodeAddress(bytes: Uint8Array): AddressMessage {
  return decodeBounded(AddressMessage, 'istio.workload.Address', MAX_RESOURCE_BYTES, bytes);
}

export function encodeAddress(address: AddressMessage): Uint8Array {
  return encodeWhole(AddressMessage, address);
}

/** @throws {@link ProtobufError} */
export function decodeWorkload(bytes: Uint8Array): WorkloadMessage {
  return decodeBounded(WorkloadMessage, 'istio.workload.Workload', MAX_RESOURCE_BYTES, bytes);
}

export function encodeWorkload(workload: WorkloadMessage): Uint8Array {
  return encodeWhole(WorkloadMessage, workload);
}

/** A workload with these fields, and every other one empty. */
export function createWorkload(fields: Partial<WorkloadMessage>): WorkloadMessage {
  return { ...WorkloadMessage.create(), ...fields };
}

/** A service with these fields, and every other one empty. */
export function createService(fields: Partial<ServiceMessage>): ServiceMessage {
  return { ...ServiceMessage.create(), ...fields };
}
