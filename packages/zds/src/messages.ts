/**
 * The messages of ZDS as values, to and from the bytes of one datagram.
 *
 * Decoding throws nothing but `ZdsProtocolError`; a message without the part that gives it meaning is malformed.
 */
import {
  decodeWorkloadRequest,
  decodeWorkloadResponse,
  decodeZdsHello,
  encodeWorkloadRequest,
  encodeWorkloadResponse,
  encodeZdsHello,
  Version,
} from '@ambit/api/zds';
import { MAX_ZDS_MESSAGE_BYTES } from '@ambit/api/limits';
import { messageOf } from '@ambit/core/errors';
import { ZdsProtocolError } from './errors.ts';
import { MAX_ACK_ERROR_BYTES } from './limits.ts';

export interface ZdsPod {
  /** Kubernetes pod UID. */
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Connections to the pod are not redirected, on purpose. Only our agent says so. */
  readonly inboundBypassed?: true;
  /**
   * Its connections are redirected when it is acknowledged, and not before: it is refused as long as they could not be carried,
   * and comes again. Only our agent says so.
   */
  readonly waitsOutside?: true;
  /** How reports name what the pod is an instance of. Only our agent says so, where there is room for it. */
  readonly names?: WorkloadNames;
}

export interface WorkloadNames {
  readonly workloadName: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
}

/** What the agent tells ztunnel. `add` alone travels with a descriptor: the pod's network namespace. */
export type ZdsRequest =
  | { readonly kind: 'add'; readonly pod: ZdsPod }
  | { readonly kind: 'keep'; readonly uid: string }
  | { readonly kind: 'del'; readonly uid: string }
  | { readonly kind: 'snapshot-sent' };

export function encodeHello(): Uint8Array {
  return encodeZdsHello({ version: Version.V1 });
}

/** The version number; nothing depends on it so far. */
export function decodeHello(bytes: Uint8Array): number {
  return decoded(() => decodeZdsHello(bytes).version);
}

export function encodeRequest(request: ZdsRequest): Uint8Array {
  switch (request.kind) {
    case 'add': {
      const { uid, name, namespace, serviceAccount, names } = request.pod;
      const { inboundBypassed = false, waitsOutside = false } = request.pod;
      const workloadInfo = { name, namespace, serviceAccount };
      const encodedWith = (told: WorkloadNames | undefined) =>
        encodeWorkloadRequest({
          payload: { $case: 'add', value: { uid, workloadInfo, inboundBypassed, waitsOutside, names: told } },
        });
      const bytes = encodedWith(names);
      return bytes.length <= MAX_ZDS_MESSAGE_BYTES ? bytes : encodedWith(undefined);
    }
    case 'keep':
      return encodeWorkloadRequest({ payload: { $case: 'keep', value: { uid: request.uid } } });
    case 'del':
      return encodeWorkloadRequest({ payload: { $case: 'del', value: { uid: request.uid } } });
    case 'snapshot-sent':
      return encodeWorkloadRequest({ payload: { $case: 'snapshotSent', value: {} } });
    default:
      return request satisfies never;
  }
}

export function decodeRequest(bytes: Uint8Array): ZdsRequest {
  const { payload } = decoded(() => decodeWorkloadRequest(bytes));
  switch (payload?.$case) {
    case 'add': {
      const { workloadInfo, inboundBypassed, waitsOutside, names } = payload.value;
      if (!workloadInfo) throw new ZdsProtocolError('AddWorkload without workload_info');
      const { name, namespace, serviceAccount } = workloadInfo;
      const pod: ZdsPod = {
        uid: uidOf(payload.value),
        name,
        namespace,
        serviceAccount,
        ...(inboundBypassed && { inboundBypassed }),
        ...(waitsOutside && { waitsOutside }),
        ...(names && { names }),
      };
      return { kind: 'add', pod };
    }
    case 'keep':
    case 'del':
      return { kind: payload.$case, uid: uidOf(payload.value) };
    case 'snapshotSent':
      return { kind: 'snapshot-sent' };
    case undefined:
      throw new ZdsProtocolError('WorkloadRequest without a payload that we know');
    default:
      return payload satisfies never;
  }
}

/** @param error - Empty: done. Cut if it is long. */
export function encodeAck(error: string): Uint8Array {
  const short = Buffer.from(error).subarray(0, MAX_ACK_ERROR_BYTES);
  // A character that the cut went through is dropped with its replacement.
  const text = new TextDecoder().decode(short).replace(/\uFFFD$/, '');
  return encodeWorkloadResponse({ payload: { $case: 'ack', value: { error: text } } });
}

/** The reason of a refusal; empty means done. */
export function decodeAck(bytes: Uint8Array): string {
  const { payload } = decoded(() => decodeWorkloadResponse(bytes));
  if (!payload) throw new ZdsProtocolError('WorkloadResponse without an ack');
  return payload.value.error;
}

function uidOf({ uid }: { readonly uid: string }): string {
  if (uid === '') throw new ZdsProtocolError('message without a pod uid');
  return uid;
}

function decoded<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new ZdsProtocolError(messageOf(error), { cause: error });
  }
}
