/**
 * The application that the end-to-end suites put under the mesh: it serves what applications serve, and asks others.
 *
 *   echo                        serves everything, and takes orders on the control port
 *   echo once KIND HOST PORT    one request; status 0 if it went well (a Job's work)
 *   echo check URL              one HTTP request that must be answered with 2xx (an exec probe)
 *
 * Variables: POD_NAME, POD_NAMESPACE, NODE_NAME; PORT_OFFSET is added to every port (for pods that share a node's
 * network); DRAIN_MS is how long it serves on after SIGTERM; FIRST_REQUEST=`KIND HOST PORT` is asked before anything else;
 * DELAY_MS and STATUS are what is amiss with each answer; DOCUMENT is what `/document` answers;
 * TLS_CERTIFICATE and TLS_KEY, in PEM, open the port for TLS, where clients must have a certificate of TLS_CLIENT_CA if
 * that is given.
 */
import { get } from 'node:http';
import { selfFrom } from './about.ts';
import { requestOnce } from './client/request.ts';
import { serveControl } from './control.ts';
import { Lifecycle } from './lifecycle.ts';
import type { RequestKind, RequestOrder } from './messages.ts';
import { PORTS, type PortName } from './ports.ts';
import { serveGrpc } from './server/grpc.ts';
import { serveHttp, serveHttp2, serveHttps } from './server/http.ts';
import { serveTcp } from './server/tcp.ts';

const FIRST_REQUEST_TIMEOUT_MS = 20_000;

async function serve(env: NodeJS.ProcessEnv): Promise<void> {
  const firstOrder = (env['FIRST_REQUEST'] ?? '').split(' ');
  // Its answer must not wait for what this thread does to serve.
  const first = firstOrder.length === 3 ? await requestOnce(orderFrom(firstOrder)) : undefined;
  const self = selfFrom(env);
  const offset = Number(env['PORT_OFFSET'] ?? 0);
  const port = (name: PortName) => PORTS[name] + offset;
  const lifecycle = new Lifecycle(Number(env['DRAIN_MS'] ?? 0));
  await Promise.all([
    serveHttp(self, lifecycle, port('http'), '::'),
    serveHttp(self, lifecycle, port('loopback'), '127.0.0.1'),
    serveHttp2(self, lifecycle, port('http2')),
    ...(env['TLS_CERTIFICATE'] === undefined
      ? []
      : [
          serveHttps(self, lifecycle, port('https'), {
            certificate: env['TLS_CERTIFICATE'],
            key: env['TLS_KEY'] ?? '',
            clientCa: env['TLS_CLIENT_CA'],
          }),
        ]),
    serveGrpc(self, lifecycle, port('grpc')),
    serveTcp(self, lifecycle, port('tcp'), false),
    serveTcp(self, lifecycle, port('greeting'), true),
    serveControl(self, port('control'), first),
  ]);
  process.stdout.write(`${self.pod} serves\n`);
  const end = () => void lifecycle.end().then(() => process.exit(0));
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
}

function orderFrom([kind = '', host = '', port = '']: readonly string[]): RequestOrder {
  return { kind: kind as RequestKind, host, port: Number(port), timeoutMs: FIRST_REQUEST_TIMEOUT_MS };
}

async function once(args: readonly string[]): Promise<void> {
  const outcome = await requestOnce(orderFrom(args));
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
  process.exitCode = outcome.ok ? 0 : 1;
}

function check([url = '']: readonly string[]): void {
  const fail = (why: string) => {
    process.stderr.write(`${url}: ${why}\n`);
    process.exitCode = 1;
  };
  get(url, (answer) => {
    answer.resume();
    if ((answer.statusCode ?? 0) >= 300) fail(`status ${answer.statusCode}`);
  }).on('error', (error) => fail(error.message));
}

const [mode, ...args] = process.argv.slice(2);
if (mode === 'once') await once(args);
else if (mode === 'check') check(args);
else await serve(process.env);
