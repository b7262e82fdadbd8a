/** `ambit waypoint generate`: the Gateway that apply would write, for those who keep their objects in files. */
import { stringify } from 'yaml';
import type { Options } from '../../command-line.ts';
import { EXIT, type ExitCode } from '../../exit-code.ts';
import { waypointGateway } from '../../waypoint/gateway.ts';

/** Asks no cluster: without `--namespace` the object has none, and goes where kubectl puts it. */
export function generateWaypoint(options: Options, print: (text: string) => void): ExitCode {
  const gateway = waypointGateway(options.waypoint, options.namespace);
  print(
    options.output === 'json'
      ? `${JSON.stringify(gateway, undefined, 2)}\n`
      : stringify(gateway, { lineWidth: 0 }),
  );
  return EXIT.ok;
}
