import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Scheduler } from '@ambit/collections/scheduler';
import { StaticCollection } from '@ambit/collections/static';
import { ReferencedObjects } from '@ambit/kube/referenced-objects';
import { keyOf, type KubeObject } from '@ambit/kube/resource';
import type { ConfigMap, Namespace } from '@ambit/kube/resources/core';
import type { Gateway, GatewayClass } from '@ambit/kube/resources/gateway';
import { parseAllDocuments, stringify } from 'yaml';
import { configFrom } from '../config.ts';
import { mayBeConfigMap } from '../inputs.ts';
import { PARTS } from './decide/manifest.ts';
import { renderSettings } from './settings.ts';
import { DEFAULTS_LABEL, deriveWanted, parameterReferences } from './wanted.ts';

const TESTDATA = new URL('./testdata/', import.meta.url);

/** Environments other than none, by name of the file. */
const ENVIRONMENTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  settings: {
    POD_NAMESPACE: 'mesh',
    REVISION: 'blue',
    CLUSTER_ID: 'c1',
    CLUSTER_DOMAIN: 'example.org',
    TRUST_DOMAIN: 'td',
    TOKEN_AUDIENCES: 'aud,other',
    PILOT_CA_CERT_CONFIGMAP: 'roots',
    AMBIT_WAYPOINT_IMAGE: 'hub/waypoint:1',
    AMBIT_WAYPOINT_POD: JSON.stringify({
      imagePullPolicy: 'Never',
      imagePullSecrets: ['registry'],
      resources: { requests: { cpu: '1' }, limits: { memory: '1Gi' } },
      affinity: { nodeAffinity: {} },
      nodeSelector: { pool: 'mesh' },
      tolerations: [{ operator: 'Exists' }],
      autoscaleMin: 3,
      autoscaleMax: 9,
      autoscaleCpu: '500m',
      terminationGracePeriodSeconds: 60,
      logLevel: 'debug',
      logAsJson: true,
      env: { NODE_NAME: 'fixed', AMBIT_MAX_REQUESTS: 5 },
    }),
  },
};

/** What is wanted of every Gateway in a YAML text. */
function results(yaml: string, env: Readonly<Record<string, string>>): object {
  const errors: string[] = [];
  const scheduler = new Scheduler({
    defer: () => undefined,
    onError: (collection, key, error) => errors.push(`${collection} ${key}: ${String(error)}`),
  });
  const of = <T extends KubeObject>(name: string) => new StaticCollection<string, T>({ name });
  const inputs = {
    gateways: of<Gateway>('gateways'),
    gatewayClasses: of<GatewayClass>('classes'),
    namespaces: of<Namespace>('namespaces'),
  };
  const config = configFrom(env);
  const configMaps = of<ConfigMap>('config maps');
  const defaults = of<ConfigMap>('defaults');
  const wanted = deriveWanted({
    inputs,
    defaults,
    tags: of<KubeObject>('tags'),
    parameters: new ReferencedObjects({
      name: 'parameters',
      references: parameterReferences(inputs.gateways, scheduler),
      mayExist: mayBeConfigMap,
      follow: () => Object.assign(configMaps, { [Symbol.asyncDispose]: () => Promise.resolve() }),
    }),
    settings: renderSettings(config, '9.9'),
    systemNamespace: config.namespace,
    scheduler,
  });
  const byKind: Readonly<Record<string, unknown>> = {
    Gateway: inputs.gateways,
    GatewayClass: inputs.gatewayClasses,
    Namespace: inputs.namespaces,
    ConfigMap: configMaps,
  };
  for (const document of parseAllDocuments(yaml)) {
    expect(document.errors).toEqual([]);
    const object = document.toJS() as KubeObject;
    const collection = byKind[object.kind ?? ''] as StaticCollection<string, KubeObject>;
    collection.set(keyOf(object), object);
    const { namespace, labels } = object.metadata;
    if (object.kind === 'ConfigMap' && namespace === config.namespace && labels?.[DEFAULTS_LABEL])
      defaults.set(keyOf(object), object);
  }
  scheduler.flush();
  expect(errors).toEqual([]);
  const entries = [...wanted.objects.entries()].map(([key, made]) => [
    key,
    made.kind === 'problem' ? `! ${made.message}` : PARTS.flatMap((part) => made.objects[part] ?? []),
  ]);
  return { managed: [...wanted.gateways.keys()], objects: Object.fromEntries(entries) as object };
}

describe('from Gateways to objects', () => {
  const names = readdirSync(TESTDATA)
    .filter((name) => name.endsWith('.in.yaml'))
    .map((name) => name.slice(0, -'.in.yaml'.length));

  test.each(names)('%s', (name) => {
    const yaml = readFileSync(new URL(`${name}.in.yaml`, TESTDATA), 'utf8');
    const text = stringify(results(yaml, ENVIRONMENTS[name] ?? {}), {
      lineWidth: 0,
      aliasDuplicateObjects: false,
    });
    const golden = new URL(`${name}.out.yaml`, TESTDATA);
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });
});

test.each([
  ['not JSON', '{'],
  ['no object', '[]'],
  ['a misspelt value', '{"resource":{}}'],
  ['a value of another kind', '{"autoscaleMin":"2"}'],
  ['a policy that is none', '{"imagePullPolicy":"Sometimes"}'],
  ['fewer at most than at least', '{"autoscaleMin":3,"autoscaleMax":2}'],
  ['a variable that is no text', '{"env":{"A":{}}}'],
])('settings of pods: %s is refused', (_, value) => {
  expect(() => configFrom({ AMBIT_WAYPOINT_POD: value })).toThrow('AMBIT_WAYPOINT_POD');
});
