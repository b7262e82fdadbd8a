/** A CustomResourceDefinition from a kind's schemas, as an object and as the text that is committed in deploy/crds. */
import { stringify } from 'yaml';
import { type CustomKind, customKinds } from './kinds.ts';

function customResourceDefinition(kind: CustomKind): object {
  const schema = {
    openAPIV3Schema: {
      type: 'object',
      description: kind.description,
      properties: { spec: kind.spec, status: kind.status },
    },
  };
  const version = (name: string) => ({
    name,
    served: true,
    storage: name === kind.storage,
    additionalPrinterColumns: kind.columns,
    schema,
    subresources: { status: {} },
  });
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${kind.plural}.${kind.group}`,
      labels: { 'app.kubernetes.io/part-of': 'ambit' },
      annotations: { 'helm.sh/resource-policy': 'keep' },
    },
    spec: {
      group: kind.group,
      names: {
        categories: ['istio-io', kind.group.replaceAll('.', '-')],
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        shortNames: kind.shortNames,
        singular: kind.singular,
      },
      scope: 'Namespaced',
      versions: kind.versions.map(version),
    },
  };
}

/** `security.istio.io_peerauthentications.yaml`. */
function crdFileName(kind: CustomKind): string {
  return `${kind.group}_${kind.plural}.yaml`;
}

function crdText(kind: CustomKind): string {
  const head = '# Generated from packages/istiod-lite/src/schema (`npm run generate`).\n';
  return head + stringify(customResourceDefinition(kind), { lineWidth: 110, aliasDuplicateObjects: false });
}

/** The content of deploy/crds, by file name. */
export function crdFiles(): ReadonlyMap<string, string> {
  return new Map(customKinds.map((kind) => [crdFileName(kind), crdText(kind)]));
}
