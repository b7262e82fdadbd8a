/** The one gRPC method, for both ends. Messages to clients are bytes already: the server encodes each resource once. */
import {
  DELTA_ADS_PATH,
  decodeDeltaRequest,
  decodeDeltaResponse,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  encodeDeltaRequest,
} from '@ambit/api/discovery';
import type { MethodDefinition } from '@grpc/grpc-js';

/** A view of the same bytes, as grpc-js wants them. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export const DELTA_SERVICE = {
  deltaAggregatedResources: {
    path: DELTA_ADS_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: (request) => bufferOf(encodeDeltaRequest(request)),
    requestDeserialize: (bytes) => decodeDeltaRequest(bytes),
    responseSerialize: (bytes) => bytes,
    responseDeserialize: (bytes) => bytes,
  } satisfies MethodDefinition<DeltaDiscoveryRequest, Buffer>,
};

/** A response and how many bytes it came in. */
export interface ReceivedResponse {
  readonly response: DeltaDiscoveryResponse;
  readonly bytes: number;
}

export function receiveResponse(bytes: Buffer): ReceivedResponse {
  return { response: decodeDeltaResponse(bytes), bytes: bytes.length };
}
