/** The environment of a container: its own variables, `$(NAME)` references, and what the pod knows of itself. Pure. */
import type { ConfigMap, Container, EnvVar, Pod, Secret } from '@ambit/kube/resources/core';

export interface EnvironmentSources {
  readonly pod: Pod;
  readonly podIps: readonly string[];
  readonly hostIp: string;
  readonly cpus: number;
  configMap(name: string): ConfigMap | undefined;
  secret(name: string): Secret | undefined;
}

/** What every container gets before its own variables. */
const DEFAULTS: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
};

/** The variables, or the name of what is missing. */
export function environmentOf(
  container: Container,
  api: { readonly host: string; readonly port: number },
  sources: EnvironmentSources,
): { readonly env: Readonly<Record<string, string>> } | { readonly missing: string } {
  const env: Record<string, string> = {
    ...DEFAULTS,
    HOSTNAME: sources.pod.spec?.hostname ?? sources.pod.metadata.name,
    KUBERNETES_SERVICE_HOST: api.host,
    KUBERNETES_SERVICE_PORT: String(api.port),
    KUBERNETES_SERVICE_PORT_HTTPS: String(api.port),
  };
  for (const { prefix = '', configMapRef, secretRef } of envFromOf(container)) {
    const found = configMapRef ? sources.configMap(configMapRef.name)?.data : decoded(secretRef, sources);
    const { name, optional } = configMapRef ?? secretRef ?? { name: '', optional: true };
    if (!found && !optional) return { missing: `${configMapRef ? 'ConfigMap' : 'Secret'} ${name}` };
    for (const [key, value] of Object.entries(found ?? {})) env[prefix + key] = value;
  }
  for (const variable of container.env ?? []) {
    const value = variableValue(variable, container, env, sources);
    if (typeof value === 'object') return value;
    if (value !== undefined) env[variable.name] = value;
  }
  return { env };
}

interface EnvFrom {
  readonly prefix?: string;
  readonly configMapRef?: { readonly name: string; readonly optional?: boolean };
  readonly secretRef?: { readonly name: string; readonly optional?: boolean };
}

/** The names of all ConfigMaps and Secrets that a container's variables come from. */
export function sourcesOf(container: Container): {
  readonly configMaps: readonly string[];
  readonly secrets: readonly string[];
} {
  const whole = envFromOf(container);
  const refs = (container.env ?? []).flatMap(({ valueFrom }) => valueFrom ?? []);
  const names = (all: readonly ({ readonly name: string } | undefined)[]) => [
    ...new Set(all.flatMap((one) => one?.name ?? [])),
  ];
  return {
    configMaps: names([...whole.map((one) => one.configMapRef), ...refs.map((one) => one.configMapKeyRef)]),
    secrets: names([...whole.map((one) => one.secretRef), ...refs.map((one) => one.secretKeyRef)]),
  };
}

function envFromOf(container: Container): readonly EnvFrom[] {
  return (container as Container & { readonly envFrom?: readonly EnvFrom[] }).envFrom ?? [];
}

function decoded(
  ref: EnvFrom['secretRef'],
  sources: EnvironmentSources,
): Readonly<Record<string, string>> | undefined {
  const found = ref && sources.secret(ref.name)?.data;
  if (!found) return undefined;
  return Object.fromEntries(
    Object.entries(found).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
  );
}

/** `$(NAME)` becomes the variable's value, `$$` a dollar; what is not set stays as it is. */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$(?:\$|\(([A-Za-z_.-][\w.-]*)\))/g, (all, name: string | undefined) =>
    name === undefined ? '$' : (env[name] ?? all),
  );
}

function variableValue(
  { value, valueFrom }: EnvVar,
  container: Container,
  env: Readonly<Record<string, string>>,
  sources: EnvironmentSources,
): string | undefined | { readonly missing: string } {
  if (!valueFrom) return expand(value ?? '', env);
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
  if (fieldRef) return fieldOf(fieldRef.fieldPath, sources);
  if (resourceFieldRef) return resourceOf(resourceFieldRef.resource, container, sources);
  if (configMapKeyRef) {
    const found = sources.configMap(configMapKeyRef.name)?.data?.[configMapKeyRef.key];
    if (found !== undefined || configMapKeyRef.optional) return found;
    return { missing: `key ${configMapKeyRef.key} of ConfigMap ${configMapKeyRef.name}` };
  }
  if (secretKeyRef) {
    const found = sources.secret(secretKeyRef.name)?.data?.[secretKeyRef.key];
    if (found !== undefined) return Buffer.from(found, 'base64').toString();
    return secretKeyRef.optional
      ? undefined
      : { missing: `key ${secretKeyRef.key} of Secret ${secretKeyRef.name}` };
  }
  return '';
}

function fieldOf(path: string, { pod, podIps, hostIp }: EnvironmentSources): string {
  const { metadata, spec } = pod;
  const keyed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (keyed) return metadata[keyed[1] as 'labels' | 'annotations']?.[keyed[2] ?? ''] ?? '';
  const fields: Readonly<Record<string, string | undefined>> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'spec.nodeName': spec?.nodeName,
    'spec.serviceAccountName': spec?.serviceAccountName,
    'status.hostIP': hostIp,
    'status.podIP': podIps[0],
    'status.podIPs': podIps.join(','),
  };
  return fields[path] ?? '';
}

/** Limits are not enforced in the lab; without one, Kubernetes answers with what the node has. */
function resourceOf(resource: string, container: Container, { cpus }: EnvironmentSources): string {
  const { resources } = container as Container & {
    readonly resources?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  };
  const [kind = '', name = ''] = resource.split('.');
  const given = resources?.[kind]?.[name];
  if (name !== 'cpu') return given ?? '0';
  return String(Math.ceil(given === undefined ? cpus : cpuOf(given)));
}

function cpuOf(quantity: string): number {
  return quantity.endsWith('m') ? Number(quantity.slice(0, -1)) / 1_000 : Number(quantity);
}
