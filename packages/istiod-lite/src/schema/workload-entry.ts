/**
 * `WorkloadEntry` of networking.istio.io, and the endpoints of a ServiceEntry, which have the same fields.
 *
 * Of endpoints there may be thousands, and for each of them the API server affords no walk through its labels: those are
 * looked at by rules in a WorkloadEntry, and by the webhook in both.
 */
import {
  integer,
  map,
  object,
  type StructuralSchema,
  text,
  type ValidationRule,
  withRules,
} from './openapi.ts';

export const DNS_LABEL = '[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?';
/** A pattern in CEL that refuses what is not even written like an address; what is one, the webhook knows. */
export const ADDRESS = '^[0-9a-fA-F:.]+$';
const HOSTNAME = `^${DNS_LABEL}([.]${DNS_LABEL})*[.]?$`;
const MAX_LABEL_VALUE_CHARS = 63;

export const portNumber = (description: string) => integer(description, { minimum: 1, maximum: 65_535 });

const fields = (labels: StructuralSchema) => ({
  address: text('An IP address, or a hostname to resolve. May be absent only where there is a network.', {
    maxLength: 256,
  }),
  ports: map(portNumber('The port that it serves this one on.'), 'By name of the service port.', {
    maxProperties: 128,
  }),
  labels,
  network: text('Network of the address. Default: that of the cluster.', { maxLength: 2048 }),
  locality: text('region/zone/subzone.', { maxLength: 2048 }),
  weight: integer('Share of traffic, among endpoints of one service. Default 1.', {
    minimum: 0,
    maximum: 4_294_967_295,
  }),
  serviceAccount: text('Whose identity it proves, in its namespace.', { maxLength: 253 }),
});

const labels = map(
  text(undefined, { maxLength: MAX_LABEL_VALUE_CHARS }),
  'Labels, for selectors; those of the object go before them.',
  { maxProperties: 256 },
);

const IS_UNIX = "has(self.address) && self.address.startsWith('unix://')";

const somewhere: ValidationRule = {
  rule: "(has(self.address) && self.address != '') || (has(self.network) && self.network != '')",
  message: 'address: is required',
};
const unixSocket: readonly ValidationRule[] = [
  {
    rule: `!(${IS_UNIX}) || self.address.startsWith('unix:///') || self.address.startsWith('unix://@')`,
    message: 'address: a Unix socket is an absolute path, or begins with @',
    fieldPath: '.address',
  },
  {
    rule: `!(${IS_UNIX}) || !self.address.endsWith('/')`,
    message: 'address: a Unix socket is not a folder',
    fieldPath: '.address',
  },
  {
    rule: `!(${IS_UNIX}) || !has(self.ports) || self.ports.size() == 0`,
    message: 'ports: a Unix socket has no ports',
    fieldPath: '.ports',
  },
];

export const endpoint = withRules(object(fields(labels)), ...unixSocket);

export const workloadEntrySpec = withRules(
  object(
    fields(
      withRules(labels, {
        rule: "self.all(key, self[key].matches('^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$'))",
        message: 'labels: a value is not the value of a label',
      }),
    ),
  ),
  somewhere,
  {
    rule: `!has(self.address) || self.address == '' || self.address.startsWith('unix://') || self.address.matches('${ADDRESS}') || self.address.matches('${HOSTNAME}')`,
    message: 'address: is neither an IP address nor a DNS name',
    fieldPath: '.address',
  },
  ...unixSocket,
);
