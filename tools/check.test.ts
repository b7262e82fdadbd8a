import { afterEach, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';

const CHECK = new URL('check.ts', import.meta.url).pathname;

const folder = mkdtempSync(join(tmpdir(), 'ambit-check-'));
let step = 0;

afterEach(() => {
  if (step !== 0 && isAlive(step)) process.kill(step, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

test('Ctrl-C ends the step under way with what it started, and begins no other', async () => {
  writeProgram('turbo', 'echo "step $$"\nexec sleep 600');
  writeProgram('npm', 'echo "another step"');
  const env = { ...process.env, PATH: `${folder}${delimiter}${process.env['PATH'] ?? ''}` };
  const check = spawn(process.execPath, [CHECK], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  const exited = once(check, 'exit');
  for await (const line of createInterface(check.stdout)) {
    lines.push(line);
    const [, pid] = /^step (\d+)$/.exec(line) ?? [];
    if (pid === undefined) continue;
    step = Number(pid);
    check.kill('SIGINT');
    const [status] = (await exited) as [number | null];
    expect(isAlive(step)).toBe(false);
    expect(status).toBe(130);
  }
  expect(step).toBeGreaterThan(0);
  expect(lines).toContain('stopped');
  expect(lines).not.toContain('another step');
});

function writeProgram(name: string, script: string): void {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
