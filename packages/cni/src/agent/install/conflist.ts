/**
 * Putting our plugin at the end of a node's CNI configuration, and taking it out again. Text in, text out.
 *
 * Invariant: everything else stays as it is, in its order, `cniVersion` above all: a runtime may refuse a version that
 * another plugin in the list does not know. A file that is not a valid configuration is never changed.
 */
import { isDeepStrictEqual } from 'node:util';
import { listOf, parseJson, type JsonRecord, recordOf, textOf } from '../../json.ts';
import { PLUGIN_TYPE } from '../../names.ts';

/** What a single configuration that names no version becomes a list of. */
const FALLBACK_VERSION = '0.3.1';
const FALLBACK_NAME = 'k8s-pod-network';

export interface ConfigFile {
  /** Without its folder. */
  readonly name: string;
  readonly text: string;
}

/** Whether runtimes would use such a file: a list with plugins, or a single plugin, by its ending. */
export function isUsable({ name, text }: ConfigFile): boolean {
  const config = recordOf(parseJson(text));
  if (!config) return false;
  return name.endsWith('.conflist') ? pluginsOf(config).length > 0 : textOf(config['type']) !== undefined;
}

/** The file that a runtime uses: the first usable one by name. Files of `ignored` names do not count. */
export function primaryConfig(
  files: readonly ConfigFile[],
  ignored: readonly string[] = [],
): ConfigFile | undefined {
  return [...files]
    .filter(({ name }) => /\.conf(list)?$/.test(name) && !ignored.includes(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .find(isUsable);
}

/** Whether our plugin is in the list, exactly as `plugin` says. Others may have put theirs after it. */
export function isChained({ text }: ConfigFile, plugin: JsonRecord): boolean {
  return pluginsOf(recordOf(parseJson(text)) ?? {}).some((one) => isDeepStrictEqual(one, plugin));
}

/** The file with our plugin at its end, under the name it must have then; `undefined` if `file` is not usable. */
export function withPlugin(file: ConfigFile, plugin: JsonRecord): ConfigFile | undefined {
  if (!isUsable(file)) return undefined;
  const config = recordOf(parseJson(file.text)) ?? {};
  if (file.name.endsWith('.conflist')) {
    const plugins = [...withoutOurs(config), plugin];
    return { name: file.name, text: format({ ...config, plugins }) };
  }
  const { cniVersion, ...single } = config;
  const list = {
    cniVersion: textOf(cniVersion) ?? FALLBACK_VERSION,
    name: textOf(config['name']) ?? FALLBACK_NAME,
    plugins: [...(config['type'] === PLUGIN_TYPE ? [] : [single]), plugin],
  };
  return { name: file.name.replace(/\.conf$/, '.conflist'), text: format(list) };
}

/** The file without our plugin; `undefined` if nothing is left of it, or it is no list that has it. */
export function withoutPlugin(file: ConfigFile): ConfigFile | 'nothing left' | undefined {
  const config = recordOf(parseJson(file.text));
  if (!config) return undefined;
  if (config['type'] === PLUGIN_TYPE) return 'nothing left';
  const plugins = pluginsOf(config);
  const others = withoutOurs(config);
  if (others.length === plugins.length) return undefined;
  return others.length === 0
    ? 'nothing left'
    : { name: file.name, text: format({ ...config, plugins: others }) };
}

/** A file of its own for runtimes that take one plugin at a time (Multus). */
export function standalone(plugin: JsonRecord): string {
  return format({ cniVersion: FALLBACK_VERSION, ...plugin });
}

/** Whether a file of ours has every plugin type that the primary has, and ours. */
export function coversPrimary(owned: ConfigFile, primary: ConfigFile, plugin: JsonRecord): boolean {
  const types = (file: ConfigFile) => pluginsOf(recordOf(parseJson(file.text)) ?? {}).map(typeOf);
  const wanted = withPlugin(primary, plugin);
  const has = new Set(types(owned));
  return wanted !== undefined && isChained(owned, plugin) && types(wanted).every((type) => has.has(type));
}

function pluginsOf(config: JsonRecord): readonly JsonRecord[] {
  const plugins = listOf(config['plugins']).map(recordOf);
  return plugins.every((plugin) => plugin !== undefined && typeOf(plugin) !== '')
    ? (plugins as JsonRecord[])
    : [];
}

function withoutOurs(config: JsonRecord): readonly JsonRecord[] {
  return pluginsOf(config).filter((plugin) => typeOf(plugin) !== PLUGIN_TYPE);
}

function typeOf(plugin: JsonRecord): string {
  return textOf(plugin['type']) ?? '';
}

function format(value: JsonRecord): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
