/** `WorkloadEntry` of networking.istio.io, and the endpoints of a ServiceEntry, which have the same fields. */
import { integer, map, object, text } from './openapi.ts';

export const portNumber = (description: string) => integer(description, { minimum: 1, maximum: 65_535 });

export const workloadEntrySpec = object({
  address: text('An IP address, or a hostname to resolve. May be absent only where there is a network.', {
    maxLength: 256,
  }),
  ports: map(portNumber('The port that it serves this one on.'), 'By name of the service port.', {
    maxProperties: 128,
  }),
  labels: map(text(), 'Labels, for selectors; those of the object go before them.', { maxProperties: 256 }),
  network: text('Network of the address. Default: that of the cluster.', { maxLength: 2048 }),
  locality: text('region/zone/subzone.', { maxLength: 2048 }),
  weight: integer('Share of traffic, among endpoints of one service. Default 1.', {
    minimum: 0,
    maximum: 4_294_967_295,
  }),
  serviceAccount: text('Whose identity it proves, in its namespace.', { maxLength: 253 }),
});
