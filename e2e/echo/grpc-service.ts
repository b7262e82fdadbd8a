/** The echo service as both of its ends know it: JSON text in gRPC's frames. */
import type { handleBidiStreamingCall, handleUnaryCall, MethodDefinition } from '@grpc/grpc-js';
import type { Description } from './messages.ts';

interface Ask {
  readonly text: string;
}

const encode = (value: Ask | Description): Buffer => Buffer.from(JSON.stringify(value));
const decode = <T>(value: Buffer): T => JSON.parse(value.toString('utf8')) as T;

const method = (name: string, isStream: boolean): MethodDefinition<Ask, Description> => ({
  path: `/ambit.e2e.Echo/${name}`,
  requestStream: isStream,
  responseStream: isStream,
  requestSerialize: encode,
  requestDeserialize: decode<Ask>,
  responseSerialize: encode,
  responseDeserialize: decode<Description>,
});

/** What the server implements. */
export interface EchoHandlers {
  readonly [name: string]: handleUnaryCall<Ask, Description> | handleBidiStreamingCall<Ask, Description>;
  readonly Unary: handleUnaryCall<Ask, Description>;
  readonly Stream: handleBidiStreamingCall<Ask, Description>;
}

export const ECHO_SERVICE = { Unary: method('Unary', false), Stream: method('Stream', true) };
