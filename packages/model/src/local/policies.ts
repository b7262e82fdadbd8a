/** One entry of `policies` in a local file. */
import { type Cidr, parseCidr } from '@ambit/core/ip';
import {
  type Policy,
  type PolicyMatch,
  type ServiceAccountMatch,
  type StringMatch,
  withoutEmptyFields,
} from '../policy.ts';
import { required } from './values.ts';
import type { YamlReader } from './yaml-reader.ts';

export function readPolicy(item: YamlReader): Policy {
  const fields = item.fields(['name', 'namespace', 'scope', 'action', 'rules', 'dryRun']);
  const name = required(fields, 'name', item).text();
  const namespace = required(fields, 'namespace', item).text();
  return {
    key: `${namespace}/${name}`,
    name,
    namespace,
    scope: required(fields, 'scope', item).oneOf(['Global', 'Namespace', 'WorkloadSelector']),
    action: required(fields, 'action', item).oneOf(['Allow', 'Deny']),
    rules: required(fields, 'rules', item)
      .list()
      .map((rule) => rule.list().map((clause) => clause.list().map(readMatch))),
    dryRun: required(fields, 'dryRun', item).flag(),
  };
}

/** Keys that no match has are passed over, as ztunnel does. */
function readMatch(item: YamlReader): PolicyMatch {
  const fields = item.fields();
  const read = <T>(name: keyof PolicyMatch, value: (item: YamlReader) => T): readonly T[] =>
    (fields.get(name)?.list() ?? []).map(value);
  return withoutEmptyFields({
    namespaces: read('namespaces', readStringMatch),
    notNamespaces: read('notNamespaces', readStringMatch),
    principals: read('principals', readStringMatch),
    notPrincipals: read('notPrincipals', readStringMatch),
    serviceAccounts: read('serviceAccounts', readAccount),
    notServiceAccounts: read('notServiceAccounts', readAccount),
    sourceIps: read('sourceIps', readBlock),
    notSourceIps: read('notSourceIps', readBlock),
    destinationIps: read('destinationIps', readBlock),
    notDestinationIps: read('notDestinationIps', readBlock),
    destinationPorts: read('destinationPorts', (port) => port.integer(65_535)),
    notDestinationPorts: read('notDestinationPorts', (port) => port.integer(65_535)),
  });
}

const KINDS = { Exact: 'exact', Prefix: 'prefix', Suffix: 'suffix' } as const;

/** `!Exact foo` as ztunnel wants it, or `{Exact: foo}` as its dump and JSON write it. */
function readStringMatch(item: YamlReader): StringMatch {
  const [word, value] = item.tag === undefined ? onlyEntry(item) : ([item.tag, item] as const);
  if (word === 'Presence') return { kind: 'presence' };
  if (word !== 'Exact' && word !== 'Prefix' && word !== 'Suffix') {
    return item.fail(`\`${word}\` is none of Exact, Prefix, Suffix, Presence`);
  }
  return { kind: KINDS[word], text: value.text() };
}

function onlyEntry(item: YamlReader): readonly [string, YamlReader] {
  const [entry, ...others] = item.isMap ? item.entries() : [];
  if (entry === undefined || others.length > 0)
    return item.fail('expected a string match such as `!Exact foo`');
  return entry;
}

function readAccount(item: YamlReader): ServiceAccountMatch {
  const fields = item.fields();
  return {
    namespace: required(fields, 'namespace', item).text(),
    serviceAccount: required(fields, 'serviceAccount', item).text(),
  };
}

function readBlock(item: YamlReader): Cidr {
  const text = item.text();
  const cidr = text.includes('/') ? parseCidr(text) : undefined;
  return cidr ?? item.fail(`${text} is not a CIDR block with its length`);
}
