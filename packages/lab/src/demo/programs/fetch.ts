/**
 * HTTP requests, as a person's `curl` would make them: prints `status body` of each answer, those that are alike once with
 * their number. Exits 0 if all were 200.
 *
 * Arguments: the URL; then, in any order, `--method METHOD`, `--times N` and header fields as `name: value`.
 */
import { request } from 'node:http';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { method: { type: 'string', default: 'GET' }, times: { type: 'string', default: '1' } },
});
const [url = '', ...fields] = positionals;
const headers = Object.fromEntries(
  fields.map((field) => {
    const at = field.indexOf(':');
    return [field.slice(0, at).trim(), field.slice(at + 1).trim()];
  }),
);

interface Outcome {
  readonly status: number;
  readonly text: string;
}

function ask(): Promise<Outcome> {
  return new Promise((resolve) => {
    const asking = request(
      url,
      { agent: false, timeout: 5_000, method: values.method, headers },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', (error) => resolve({ status: 0, text: error.message }));
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          resolve({ status, text: `${status} ${Buffer.concat(chunks).toString().trim()}` });
        });
      },
    );
    asking.on('timeout', () => asking.destroy(new Error('no answer within 5 s')));
    asking.on('error', (error) => resolve({ status: 0, text: error.message }));
    asking.end();
  });
}

const times = Number(values.times);
const alike = new Map<string, number>();
let isGood = true;
for (let i = 0; i < times; i++) {
  const { status, text } = await ask();
  isGood &&= status === 200;
  alike.set(text, (alike.get(text) ?? 0) + 1);
}
for (const [text, count] of [...alike].sort(([a], [b]) => (a < b ? -1 : 1)))
  process.stdout.write(`${times === 1 ? '' : `${count} x `}${text}\n`);
process.exitCode = isGood ? 0 : 1;
