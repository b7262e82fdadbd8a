/** What proxies say in the tests of `ambit why`: as a ztunnel answers when asked about batch → api. */
import type { JsonObject } from '../json-value.ts';

export const BATCH = 'spiffe://cluster.local/ns/shop/sa/batch';

export const ONLY_WEB = {
  action: 'Allow',
  dryRun: false,
  name: 'api-only-web',
  namespace: 'shop',
  rules: [[[{ principals: [{ Exact: 'cluster.local/ns/shop/sa/web' }] }]]],
  scope: 'WorkloadSelector',
};

const refusedByOnlyWeb = {
  step: 'authorization',
  outcome: 'refuse',
  message: 'allow policies exist, but none allowed',
  detail: {
    verdict: { kind: 'no-allow-matched' },
    missing: [],
    seen: { principals: 'cluster.local/ns/shop/sa/batch' },
    policies: [
      {
        policy: 'shop/api-only-web',
        action: 'Allow',
        scope: 'WorkloadSelector',
        dryRun: false,
        failures: [{ rule: 0, clause: 0, failed: ['principals'] }],
      },
    ],
  },
};

const allowed = {
  step: 'authorization',
  outcome: 'ok',
  message: 'no allow policy binds shop/api-1',
  detail: { verdict: { kind: 'allow' }, missing: [], policies: [] },
};

export interface Over {
  readonly node?: string;
  readonly version?: string;
  readonly refused?: boolean;
  readonly outbound?: readonly JsonObject[];
  readonly inbound?: readonly JsonObject[];
}

/** The proxy of node-1 serves batch-1, that of node-2 serves api-1. */
export function whyAnswer(over: Over = {}): JsonObject {
  const { node = 'node-1', version = '0.1.0' } = over;
  return {
    proxy: { node, version, meshVersion: 7 },
    source: { workload: 'Kubernetes//Pod/shop/batch-1', identity: BATCH, served: node === 'node-1' },
    destination: {
      workload: 'Kubernetes//Pod/shop/api-1',
      address: '10.0.2.1:8080',
      served: node === 'node-2',
    },
    outbound: over.outbound ?? [
      { step: 'source', outcome: 'ok', message: `shop/batch-1 is ${BATCH}; this proxy serves it` },
      {
        step: 'name',
        outcome: 'ok',
        message: 'api.shop is service shop/api.shop.svc.cluster.local at 10.1.0.1',
      },
      {
        step: 'route',
        outcome: 'ok',
        message: 'direct, HBONE to 10.0.2.1:15008 for 10.0.2.1:8080',
        detail: {
          via: 'direct',
          protocol: 'HBONE',
          explained: [
            { name: 'capture', outcome: 'passed', says: 'told by the source line', details: [] },
            {
              name: 'endpoint',
              outcome: 'passed',
              says: '1 of 2 endpoints may take the connection',
              details: ['Kubernetes//Pod/shop/api-1 port 8080: 100 % of connections'],
            },
          ],
        },
      },
      { step: 'certificate', outcome: 'ok', message: `${BATCH}: Available` },
    ],
    inbound: over.inbound ?? [
      { step: 'inbound', outcome: 'ok', message: 'connects to the application at 10.0.2.1:8080' },
      over.refused ? refusedByOnlyWeb : allowed,
    ],
  };
}
