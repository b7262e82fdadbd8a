import { describe, expect, test } from '@jest/globals';
import { coversPrimary, isChained, isUsable, primaryConfig, withoutPlugin, withPlugin } from './conflist.ts';
import { pluginEntry } from './plugin-entry.ts';

const PLUGIN = pluginEntry({
  runDirectory: '/var/run/istio-cni',
  ambientEnabled: true,
  enablementSelectors: [],
  excludeNamespaces: ['kube-system'],
  podNamespace: 'istio-system',
  agentWaitMs: 10_000,
  logLevel: 'info',
  nativeNftables: true,
});
const file = (name: string, value: unknown) => ({
  name,
  text: typeof value === 'string' ? value : JSON.stringify(value),
});
const LIST = {
  cniVersion: '1.1.0',
  name: 'kindnet',
  disableCheck: true,
  plugins: [{ type: 'ptp', mtu: 1500 }, { type: 'portmap' }],
};
const parsed = (text = '') => JSON.parse(text) as unknown;

describe('chaining', () => {
  test('ours goes last, all else stays, the version above all', () => {
    const chained = withPlugin(file('10-x.conflist', LIST), PLUGIN);
    expect(chained?.name).toBe('10-x.conflist');
    expect(parsed(chained?.text)).toEqual({ ...LIST, plugins: [...LIST.plugins, PLUGIN] });
    expect(Object.keys(parsed(chained?.text) as object)).toEqual(Object.keys(LIST));
    expect(chained?.text).toMatch(/^\{\n {2}"cniVersion": "1.1.0",[\s\S]*\}\n$/);
  });

  test('an entry of an earlier version is replaced, wherever it stood', () => {
    const old = { ...LIST, plugins: [{ type: 'istio-cni', old: true }, ...LIST.plugins] };
    const chained = withPlugin(file('a.conflist', old), PLUGIN);
    expect(parsed(chained?.text)).toEqual({ ...LIST, plugins: [...LIST.plugins, PLUGIN] });
  });

  test('a single plugin becomes a list with its own name and version', () => {
    const single = { cniVersion: '1.0.0', name: 'mine', type: 'bridge', ipam: {} };
    const chained = withPlugin(file('10-x.conf', single), PLUGIN);
    expect(chained?.name).toBe('10-x.conflist');
    expect(parsed(chained?.text)).toEqual({
      cniVersion: '1.0.0',
      name: 'mine',
      plugins: [{ name: 'mine', type: 'bridge', ipam: {} }, PLUGIN],
    });
    expect(parsed(withPlugin(file('x.conf', { type: 'bridge' }), PLUGIN)?.text)).toMatchObject({
      cniVersion: '0.3.1',
      name: 'k8s-pod-network',
    });
  });

  test.each(['', '{', '[]', 'null', '{}', '{"plugins":[]}', '{"plugins":[{}]}', '{"plugins":"x"}'])(
    'what is no configuration is not touched: %j',
    (text) => {
      expect(isUsable(file('a.conflist', text))).toBe(false);
      expect(withPlugin(file('a.conflist', text), PLUGIN)).toBeUndefined();
      expect(withoutPlugin(file('a.conflist', text))).toBeUndefined();
    },
  );

  test('whether it is in place: anywhere in the list, but exactly so, in whatever order of keys', () => {
    const others = (plugin: unknown) => file('a.conflist', { ...LIST, plugins: [plugin, { type: 'later' }] });
    expect(isChained(others(PLUGIN), PLUGIN)).toBe(true);
    expect(isChained(others(Object.fromEntries(Object.entries(PLUGIN).reverse())), PLUGIN)).toBe(true);
    expect(isChained(others({ ...PLUGIN, pod_namespace: 'other' }), PLUGIN)).toBe(false);
    expect(isChained(file('a.conflist', LIST), PLUGIN)).toBe(false);
  });
});

test('taking it out gives back what was there', () => {
  const chained = withPlugin(file('a.conflist', LIST), PLUGIN);
  const back = withoutPlugin(chained ?? file('', ''));
  expect(back).toEqual({ name: 'a.conflist', text: `${JSON.stringify(LIST, undefined, 2)}\n` });
  expect(withoutPlugin(file('a.conflist', LIST))).toBeUndefined();
  expect(withoutPlugin(file('a.conflist', { name: 'x', plugins: [PLUGIN] }))).toBe('nothing left');
  expect(withoutPlugin(file('YYY-istio-cni.conf', PLUGIN))).toBe('nothing left');
});

test('the primary is the first usable file by name', () => {
  const files = [
    file('30-c.conflist', LIST),
    file('20-b.conf', { type: 'bridge' }),
    file('10-a.conflist', '{'),
    file('05-x.json', LIST),
    file('02-istio-cni.conflist', LIST),
  ];
  expect(primaryConfig(files)?.name).toBe('02-istio-cni.conflist');
  expect(primaryConfig(files, ['02-istio-cni.conflist'])?.name).toBe('20-b.conf');
  expect(primaryConfig([])).toBeUndefined();
});

test('a list of our own must have every plugin of the primary, and ours', () => {
  const primary = file('10-x.conflist', LIST);
  const owned = (plugins: readonly unknown[]) => file('02-istio-cni.conflist', { ...LIST, plugins });
  expect(coversPrimary(owned([...LIST.plugins, PLUGIN]), primary, PLUGIN)).toBe(true);
  expect(coversPrimary(owned([{ type: 'ptp' }, PLUGIN]), primary, PLUGIN)).toBe(false);
  expect(coversPrimary(owned(LIST.plugins), primary, PLUGIN)).toBe(false);
});
