/**
 * One HTTP request, as a person's `curl` would: prints `status body` and exits 0, or the error and exits 1.
 *
 * Argument: the URL.
 */
import { get } from 'node:http';

const [url = ''] = process.argv.slice(2);

const request = get(url, { agent: false, timeout: 5_000 }, (response) => {
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  response.on('end', () => {
    process.stdout.write(`${response.statusCode} ${Buffer.concat(chunks).toString().trim()}\n`);
    process.exitCode = response.statusCode === 200 ? 0 : 1;
  });
});
request.on('timeout', () => request.destroy(new Error('no answer within 5 s')));
request.on('error', (error) => {
  process.stdout.write(`${error.message}\n`);
  process.exitCode = 1;
});
