/** What node agent and ztunnel say to each other (istio.workload.zds), one message per datagram. */
import { decodeBounded, encodeWhole } from './codec.ts';
import {
  ZdsHello as HelloMessage,
  WorkloadRequest as RequestMessage,
  WorkloadResponse as ResponseMessage,
  Version as VersionNumbers,
} from './gen/istio/zds.ts';
import { MAX_ZDS_MESSAGE_BYTES } from './limits.ts';

export type {
  Ack,
  AddWorkload,
  DelWorkload,
  KeepWorkload,
  SnapshotSent,
  WorkloadInfo,
  WorkloadRequest,
  WorkloadResponse,
  ZdsHello,
} from './gen/istio/zds.ts';

export const Version = VersionNumbers;
export type Version = VersionNumbers;

/** @throws {@link ProtobufError} */
export function decodeZdsHello(bytes: Uint8Array): HelloMessage {
  return decodeBounded(HelloMessage, 'ZdsHello', MAX_ZDS_MESSAGE_BYTES, bytes);
}

export function encodeZdsHello(hello: HelloMessage): Uint8Array {
  return encodeWhole(HelloMessage, hello);
}

/** @throws {@link ProtobufError} */
export function decodeWorkloadRequest(bytes: Uint8Array): RequestMessage {
  return decodeBounded(RequestMessage, 'WorkloadRequest', MAX_ZDS_MESSAGE_BYTES, bytes);
}

export function encodeWorkloadRequest(request: RequestMessage): Uint8Array {
  return encodeWhole(RequestMessage, request);
}

/** @throws {@link ProtobufError} */
export function decodeWorkloadResponse(bytes: Uint8Array): ResponseMessage {
  return decodeBounded(ResponseMessage, 'WorkloadResponse', MAX_ZDS_MESSAGE_BYTES, bytes);
}

export function encodeWorkloadResponse(response: ResponseMessage): Uint8Array {
  return encodeWhole(ResponseMessage, response);
}
