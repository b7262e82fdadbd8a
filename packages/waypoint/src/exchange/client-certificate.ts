/**
 * What applications are told of a client's certificate: Envoy's `x-forwarded-client-cert`, with the identities at both ends of
 * the connection, as Istio's waypoints write it. What clients say themselves in that field is never passed on.
 */
import type { HeaderFields } from '@ambit/http/header-fields';

/** @param by - Of this waypoint, whom the client's ztunnel spoke to. */
export function clientCertificateField(by: string): (client: string | undefined) => HeaderFields {
  const own = quoted(by);
  return (client) =>
    client === undefined ? [] : ['x-forwarded-client-cert', `By=${own};URI=${quoted(client)}`];
}

/** What would end a value stands in quotes. */
function quoted(value: string): string {
  return /[,;="]/.test(value) ? `"${value.replaceAll('"', '\\"')}"` : value;
}
