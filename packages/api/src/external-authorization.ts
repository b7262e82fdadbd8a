/** What a service is asked that authorizes requests (envoy.service.auth.v3), and what it answers: messages and bytes. */
import { decodeBounded, encodeWhole, type MessageFields } from './codec.ts';
import {
  CheckRequest,
  CheckResponse,
  HeaderValueOption_HeaderAppendAction,
} from './gen/envoy/authorization.ts';
import { MAX_RESOURCE_BYTES } from './limits.ts';

export type {
  AttributeContext,
  CheckRequest,
  CheckResponse,
  DeniedHttpResponse,
  HeaderValueOption,
  OkHttpResponse,
} from './gen/envoy/authorization.ts';
export const HeaderAppendAction = HeaderValueOption_HeaderAppendAction;

/** The path of the call. */
export const AUTHORIZATION_CHECK_PATH = '/envoy.service.auth.v3.Authorization/Check';

export function createCheckRequest(fields: MessageFields<CheckRequest>): CheckRequest {
  return CheckRequest.fromPartial(fields);
}

export function encodeCheckRequest(request: CheckRequest): Uint8Array {
  return encodeWhole(CheckRequest, request);
}

/** @throws {@link ProtobufError} */
export function decodeCheckRequest(bytes: Uint8Array, maxBytes = MAX_RESOURCE_BYTES): CheckRequest {
  return decodeBounded(CheckRequest, 'CheckRequest', maxBytes, bytes);
}

export function createCheckResponse(fields: MessageFields<CheckResponse>): CheckResponse {
  return CheckResponse.fromPartial(fields);
}

export function encodeCheckResponse(response: CheckResponse): Uint8Array {
  return encodeWhole(CheckResponse, response);
}

/** @throws {@link ProtobufError} */
export function decodeCheckResponse(bytes: Uint8Array): CheckResponse {
  return decodeBounded(CheckResponse, 'CheckResponse', MAX_RESOURCE_BYTES, bytes);
}
