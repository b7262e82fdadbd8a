/** Reference pages of environment variables, from the tables that the components read them by. */
import type { Schema, Variable } from '@ambit/core/config/schema';
import { schema as cni } from '../../packages/cni/src/agent/config.ts';
import { schema as istiod } from '../../packages/istiod-lite/src/config.ts';
import { variables as waypoint } from '../../packages/waypoint/src/config/variables.ts';
import { variables as ztunnel } from '../../packages/ztunnel/src/config/variables.ts';
import type { Output } from './files.ts';

interface Component {
  readonly name: string;
  readonly schema: Schema;
  /** Markdown, after the table. */
  readonly also: string;
}

const COMPONENTS: readonly Component[] = [
  {
    name: 'ztunnel',
    schema: ztunnel,
    also: `Besides these, by prefix: \`ISTIO_META_X\` and \`ISTIO_METAJSON_X\` become node metadata \`X\` (text, and parsed JSON, which wins);
\`XDS_HEADER_X\` and \`CA_HEADER_X\` become headers \`x\` of requests to the control plane and to the CA. The file
\`./etc/istio/config/mesh\` may hold a MeshConfig, of which \`defaultConfig\` is read; \`PROXY_CONFIG\` wins over it.`,
  },
  {
    name: 'waypoint',
    schema: waypoint,
    also: `\`POD_NAME\`, \`POD_NAMESPACE\`, \`SERVICE_ACCOUNT\`, \`GATEWAY_NAME\` and \`INSTANCE_IP\` must be set: they say which waypoint it is.
\`XDS_HEADER_X\` and \`CA_HEADER_X\` become headers \`x\` of requests to the control plane and to the CA.`,
  },
  {
    name: 'istiod-lite',
    schema: istiod,
    also: `The API server is found by \`KUBECONFIG\` if that file exists, else as a pod finds it, else by \`~/.kube/config\`.`,
  },
  {
    name: 'cni',
    schema: cni,
    also: `Of the node agent; most come from ConfigMap \`istio-cni-config\`. As in Istio, what is not a true of some spelling is false.
The plugin has no variables of its own: what it needs stands in its entry of the CNI configuration, which the agent writes.`,
  },
];

export function configReference(): Output {
  return new Map(COMPONENTS.map((component) => [`${component.name}.md`, page(component)]));
}

function page({ name, schema, also }: Component): string {
  const rows = Object.values(schema)
    .toSorted((a, b) => (a.env < b.env ? -1 : 1))
    .map(row);
  return `# Environment variables of ${name}

Generated from the table that ${name} reads them by (\`npm run generate\`).

| variable | value | default | meaning |
| --- | --- | --- | --- |
${rows.join('\n')}

${also}
`;
}

function row({ env, want, default: fallback, doc, secret }: Variable<unknown>): string {
  const shown = secret ? `${want} (secret)` : want;
  return `| \`${env}\` | ${cell(shown)} | ${defaultText(env, fallback)} | ${cell(doc)} |`;
}

function defaultText(env: string, value: unknown): string {
  if (value === undefined) return '';
  if (value === '') return 'empty';
  if (value instanceof Set) return `\`${[...value].join(',')}\``;
  if (typeof value === 'object') return '';
  const isDuration =
    typeof value === 'number' && /(_TTL|_TIME|_INTERVAL|_TIMEOUT|_DEADLINE|_WAIT)$/.test(env);
  return `\`${isDuration ? `${value / 1_000}s` : String(value)}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
