// Starts the demo server on a free port for a test file, and stops it after.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const binary = process.env.ABIDE_BIN ?? "../bin/abide";

export async function startDemo() {
  const dir = await mkdtemp(join(tmpdir(), "abide-web-"));
  const tokensFile = join(dir, "tokens.json");
  const server = spawn(binary, ["serve", "--demo", "--listen", "127.0.0.1:0", "--demo-tokens", tokensFile], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let errors = "";
  server.stderr.on("data", (chunk) => (errors += chunk));
  const url = await new Promise((resolve, reject) => {
    server.on("exit", (code) => reject(new Error(`the server ended with ${code}: ${errors}`)));
    createInterface({ input: server.stdout }).on("line", (line) => {
      const m = line.match(/listening on (\S+)/);
      if (m) resolve(m[1]);
    });
  });
  const tokens = JSON.parse(await readFile(tokensFile, "utf8"));
  return {
    url,
    tokens,
    async stop() {
      const ended = new Promise((resolve) => server.on("exit", resolve));
      server.kill("SIGTERM");
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export async function openBrowser() {
  return chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

// watch fails the test on any error of the page: scripts, policies, requests.
export function watch(page) {
  const problems = [];
  page.on("pageerror", (e) => problems.push(`script: ${e.message}`));
  page.on("console", (m) => {
    // A refused read answers 403, which the browser reports as an error line of its own.
    if (m.type() === "error" && !/status of (403|422)/.test(m.text())) problems.push(`console: ${m.text()}`);
  });
  page.on("requestfailed", (r) => problems.push(`request: ${r.url()}`));
  return problems;
}
