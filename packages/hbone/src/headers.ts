/** What a CONNECT says about the connection that it carries, and how that is read. */
import { formatHostPort, type Endpoint } from '@ambit/core/ip';
import { fieldValue, type HeaderFields } from '@ambit/http/header-fields';
import type { HeaderField } from '@ambit/http/hpack/encoder';

export interface ConnectHeaders {
  /** `ip:port`, or `host:port` for another network. */
  readonly authority: string;
  /** See baggage.ts; empty: not sent. */
  readonly baggage: string;
  /** The application's own address; `undefined` where a connection serves several. */
  readonly client: Endpoint | undefined;
  /** The service that the application addressed, if any. */
  readonly host: string | undefined;
  readonly traceparent: string;
  /** Only inside a double tunnel: the network that the source is in. */
  readonly sourceNetwork: string | undefined;
}

const METHOD: HeaderField = { name: ':method', value: 'CONNECT', indexed: true };

/** The fields of a plain CONNECT, in order. */
export function connectFields(headers: ConnectHeaders): readonly HeaderField[] {
  const { authority, baggage, client, host, traceparent, sourceNetwork } = headers;
  const forwarded = [
    ...(client ? [`for="${formatHostPort(client.ip, client.port)}"`] : []),
    ...(host === undefined ? [] : [`host=${host}`]),
  ];
  const fields: HeaderField[] = [METHOD, { name: ':authority', value: authority, indexed: true }];
  if (baggage !== '') fields.push({ name: 'baggage', value: baggage, indexed: true });
  if (forwarded.length > 0)
    fields.push({ name: 'forwarded', value: forwarded.join(';'), indexed: client === undefined });
  fields.push({ name: 'traceparent', value: traceparent, indexed: false });
  if (sourceNetwork !== undefined) {
    fields.push({ name: 'x-forwarded-network', value: sourceNetwork, indexed: true });
  }
  return fields;
}

/** The fields of an answer that opens the stream. */
export function acceptFields(baggage: string): readonly HeaderField[] {
  return baggage === '' ? [OK] : [OK, { name: 'baggage', value: baggage, indexed: true }];
}

const OK: HeaderField = { name: ':status', value: '200', indexed: true };

/** Whether a CONNECT came from another network, through its gateway: then the peer's address is not the client's. */
export function isFromOtherNetwork(fields: HeaderFields, own: string): boolean {
  const network = fieldValue(fields, 'x-forwarded-network');
  return network !== undefined && network.toLowerCase() !== own.toLowerCase();
}

/** The `host` of a `forwarded` header: which service the client says it called. */
export function forwardedHost(fields: HeaderFields): string | undefined {
  const forwarded = fieldValue(fields, 'forwarded');
  if (forwarded === undefined || !/host/i.test(forwarded)) return undefined;
  for (const part of forwarded.split(';')) {
    const [key = '', value = ''] = part.split('=', 2);
    if (key.trim().toLowerCase() === 'host') return value.trim().replace(/^"(.*)"$/, '$1');
  }
  return undefined;
}

/** Every value of a field. */
export function fieldValues(fields: HeaderFields, name: string): readonly string[] {
  return fields.filter((_, i) => i % 2 === 1 && fields[i - 1] === name);
}
