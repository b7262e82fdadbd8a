/** Delta xDS messages (envoy.service.discovery.v3), as many of their fields as a mesh of L4 proxies needs. */
import { decodeBounded, encodeWhole } from './codec.ts';
import {
  DeltaDiscoveryRequest as RequestMessage,
  Resource as ResourceMessage,
  DeltaDiscoveryResponse as ResponseMessage,
} from './gen/envoy/discovery.ts';
import { MAX_DISCOVERY_REQUEST_BYTES, MAX_DISCOVERY_RESPONSE_BYTES } from './limits.ts';

export type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  Node,
  Resource,
} from './gen/envoy/discovery.ts';
export type { Any } from './gen/google/protobuf/any.ts';
export type { Status } from './gen/google/rpc/status.ts';

/** The gRPC path of the one stream that carries every type. */
export const DELTA_ADS_PATH =
  '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';

/** @throws {@link ProtobufError} */
export function decodeDeltaRequest(bytes: Uint8Array): RequestMessage {
  return decodeBounded(RequestMessage, 'DeltaDiscoveryRequest', MAX_DISCOVERY_REQUEST_BYTES, bytes);
}

export function encodeDeltaRequest(request: RequestMessage): Uint8Array {
  return encodeWhole(RequestMessage, request);
}

/** @throws {@link ProtobufError} */
export function decodeDeltaResponse(bytes: Uint8Array): ResponseMessage {
  return decodeBounded(ResponseMessage, 'DeltaDiscoveryResponse', MAX_DISCOVERY_RESPONSE_BYTES, bytes);
}

export function encodeDeltaResponse(response: ResponseMessage): Uint8Array {
  return encodeWhole(ResponseMessage, response);
}

/** A request with these fields, and every other one empty. */
export function createDeltaRequest(fields: Partial<RequestMessage>): RequestMessage {
  return { ...RequestMessage.create(), ...fields };
}

/** A response with these fields, and every other one empty. */
export function createDeltaResponse(fields: Partial<ResponseMessage>): ResponseMessage {
  return { ...ResponseMessage.create(), ...fields };
}

/** A resource with these fields, and every other one empty. */
export function createResource(fields: Partial<ResourceMessage>): ResourceMessage {
  return { ...ResourceMessage.create(), ...fields };
}
