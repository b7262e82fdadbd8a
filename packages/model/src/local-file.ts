/**
 * A mesh from a local file (LOCAL_XDS_PATH): the YAML that Istio's ztunnel reads, for tests and for trying things.
 *
 * Differences from what xDS brings are the format's: an absent trust domain stays empty, and so does an absent service
 * account. String matches may be written `!Exact foo` or `{Exact: foo}`; ztunnel takes the first alone.
 */
import type { Interner } from './intern.ts';
import { MAX_LOCAL_FILE_BYTES } from './limits.ts';
import { readPolicy } from './local/policies.ts';
import { readService } from './local/services.ts';
import { readWorkload } from './local/workloads.ts';
import { LocalFileError, readYaml } from './local/yaml-reader.ts';
import type { LocalMesh } from './store.ts';

/**
 * @param file - Names the file in complaints.
 * @throws {@link LocalFileError} naming line, column and path of the first thing that is wrong.
 */
export function readLocalMesh(text: string, file: string, interner: Interner): LocalMesh {
  if (text.length > MAX_LOCAL_FILE_BYTES) {
    throw new LocalFileError(`${file}: longer than ${MAX_LOCAL_FILE_BYTES} characters`);
  }
  const top = readYaml(text, file)?.fields(['workloads', 'policies', 'services']);
  const services = (top?.get('services')?.list() ?? []).map(readService);
  return {
    workloads: (top?.get('workloads')?.list() ?? []).map((item) => readWorkload(item, interner)),
    policies: (top?.get('policies')?.list() ?? []).map(readPolicy),
    services: services.map(({ service }) => service),
    endpoints: services.flatMap(({ endpoints }) => endpoints),
    unreadablePolicies: [],
    removedAddresses: [],
    removedPolicies: [],
  };
}
