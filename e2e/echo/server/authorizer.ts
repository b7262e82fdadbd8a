/**
 * An authorizer as proxies ask one (envoy.service.auth.v3): yes to who sends `x-allow: yes`, and a header that says who did.
 * Over HTTP it is the paths below `/authorize` of the port for HTTP.
 */
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import {
  AUTHORIZATION_CHECK_PATH,
  createCheckResponse,
  decodeCheckRequest,
  encodeCheckResponse,
} from '@ambit/api/external-authorization';

export const ALLOW_HEADER = 'x-allow';
export const AUTHORIZED_BY = 'x-authorized-by';
/** Of google.rpc.Code. */
const PERMISSION_DENIED = 7;

export const AUTHORIZER_SERVICE = {
  Check: {
    path: AUTHORIZATION_CHECK_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  },
} as const satisfies ServiceDefinition;

/** @param name - Who it is. */
export function authorizer(name: string): UntypedServiceImplementation {
  return {
    Check: (
      { request }: { readonly request: Buffer },
      done: (error: Error | null, answer?: Buffer) => void,
    ) => {
      try {
        done(null, Buffer.from(encodeCheckResponse(verdictOn(request, name))));
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    },
  };
}

function verdictOn(request: Buffer, name: string) {
  const headers = decodeCheckRequest(request).attributes?.request?.http?.headers;
  const by = [{ header: { key: AUTHORIZED_BY, value: name } }];
  return headers?.get(ALLOW_HEADER) === 'yes'
    ? createCheckResponse({
        status: { code: 0 },
        httpResponse: { $case: 'okResponse', value: { headers: by } },
      })
    : createCheckResponse({
        status: { code: PERMISSION_DENIED },
        httpResponse: {
          $case: 'deniedResponse',
          value: { status: { code: 403 }, headers: by, body: `not by ${name}` },
        },
      });
}
