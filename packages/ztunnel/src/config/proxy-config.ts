/**
 * ProxyConfig: the part of the mesh configuration that reaches ztunnel, from `./etc/istio/config/mesh` and the variable
 * PROXY_CONFIG, which wins field by field. Unknown fields are ignored. Unlike Istio's, `proxyMetadata` may be left out.
 */
import { messageOf } from '@ambit/core/errors';
import { parse } from 'yaml';

export interface ProxyConfig {
  readonly discoveryAddress: string | undefined;
  readonly proxyAdminPort: number | undefined;
  readonly statsPort: number | undefined;
  readonly concurrency: number | undefined;
  readonly proxyMetadata: Readonly<Record<string, string>>;
}

const NOTHING: ProxyConfig = {
  discoveryAddress: undefined,
  proxyAdminPort: undefined,
  statsPort: undefined,
  concurrency: undefined,
  proxyMetadata: {},
};

type Fields = Readonly<Record<string, unknown>>;

/** @returns problems in words, if any; then the configuration is not to be used. */
export function mergedProxyConfig(
  meshFile: string | undefined,
  variable: string | undefined,
): { readonly config: ProxyConfig; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const attempt = (what: string, read: () => ProxyConfig): ProxyConfig => {
    try {
      return read();
    } catch (error) {
      problems.push(`error parsing proxy config: failed parsing ${what}: ${messageOf(error)}`);
      return NOTHING;
    }
  };
  const fromFile = attempt('mesh config file', () =>
    proxyConfigOf(fieldsOf(parsed(meshFile))['defaultConfig']),
  );
  const fromVariable = attempt('proxy config env', () => proxyConfigOf(parsed(variable)));
  return { config: merged(fromFile, fromVariable), problems };
}

function merged(base: ProxyConfig, over: ProxyConfig): ProxyConfig {
  return {
    discoveryAddress: over.discoveryAddress ?? base.discoveryAddress,
    proxyAdminPort: over.proxyAdminPort ?? base.proxyAdminPort,
    statsPort: over.statsPort ?? base.statsPort,
    concurrency: over.concurrency ?? base.concurrency,
    proxyMetadata: { ...base.proxyMetadata, ...over.proxyMetadata },
  };
}

function parsed(text: string | undefined): unknown {
  return text === undefined || text === '' ? undefined : parse(text, { maxAliasCount: 100 });
}

function proxyConfigOf(value: unknown): ProxyConfig {
  const fields = fieldsOf(value);
  return {
    discoveryAddress: textField(fields, 'discoveryAddress'),
    proxyAdminPort: u16Field(fields, 'proxyAdminPort'),
    statsPort: u16Field(fields, 'statsPort'),
    concurrency: u16Field(fields, 'concurrency'),
    proxyMetadata: metadataField(fields),
  };
}

function fieldsOf(value: unknown): Fields {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw new Error('want a map');
  return value as Fields;
}

function textField(fields: Fields, name: string): string | undefined {
  const value = fields[name] ?? undefined;
  if (value !== undefined && typeof value !== 'string') throw new Error(`${name}: want text`);
  return value;
}

function u16Field(fields: Fields, name: string): number | undefined {
  const value = fields[name] ?? undefined;
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 65_535) {
    throw new Error(`${name}: want a whole number from 0 to 65535`);
  }
  return value;
}

function metadataField(fields: Fields): Readonly<Record<string, string>> {
  const metadata = fieldsOf(fields['proxyMetadata']);
  return Object.fromEntries(
    Object.entries(metadata).map(([key, value]) => {
      if (typeof value !== 'string') throw new Error(`proxyMetadata.${key}: want text`);
      return [key, value];
    }),
  );
}
