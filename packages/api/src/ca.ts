/** Certificate requests and answers (istio.v1.auth). */
import { decodeBounded, encodeWhole } from './codec.ts';
import {
  IstioCertificateRequest as RequestMessage,
  IstioCertificateResponse as ResponseMessage,
} from './gen/istio/ca.ts';
import { MAX_CERTIFICATE_MESSAGE_BYTES } from './limits.ts';

export type { IstioCertificateRequest, IstioCertificateResponse } from './gen/istio/ca.ts';

/** The gRPC path of the one call. */
export const CREATE_CERTIFICATE_PATH = '/istio.v1.auth.IstioCertificateService/CreateCertificate';

/** The key of `metadata` that names whom the certificate is for, when that is not the caller. */
export const IMPERSONATED_IDENTITY = 'ImpersonatedIdentity';

/** @throws {@link ProtobufError} */
export function decodeCertificateRequest(bytes: Uint8Array): RequestMessage {
  return decodeBounded(RequestMessage, 'IstioCertificateRequest', MAX_CERTIFICATE_MESSAGE_BYTES, bytes);
}

export function encodeCertificateRequest(request: RequestMessage): Uint8Array {
  return encodeWhole(RequestMessage, request);
}

/** @throws {@link ProtobufError} */
export function decodeCertificateResponse(bytes: Uint8Array): ResponseMessage {
  return decodeBounded(ResponseMessage, 'IstioCertificateResponse', MAX_CERTIFICATE_MESSAGE_BYTES, bytes);
}

export function encodeCertificateResponse(response: ResponseMessage): Uint8Array {
  return encodeWhole(ResponseMessage, response);
}
