// The guided start page, as a newcomer meets it.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { openBrowser, startDemo, watch } from "./server.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let demo, browser;
before(async () => {
  [demo, browser] = await Promise.all([startDemo(), openBrowser()]);
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

async function audit(page) {
  // The page's policy forbids injected scripts, so axe runs in an isolated evaluation.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).join(", ")}`);
}

const steps = [
  { n: 1, verdict: "Permitted", holds: /consent|no_objection/ },
  { n: 2, verdict: "Refused", holds: /purpose_does_not_cover/, clause: /privacy#C05/ },
  { n: 3, verdict: "Recorded", holds: /withdrawn|receipt/i },
  { n: 4, verdict: "Refused", holds: /withdrawn/, clause: /privacy#C07/ },
  { n: 5, verdict: "Does not publish", holds: /birthday/ },
  { n: 6, verdict: "Erased", holds: /certificate/i },
  { n: 7, verdict: "Refused", holds: /erased/ },
];

test("every guided step works by click", async () => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const problems = watch(page);
  await page.goto(demo.url + "/");
  for (const s of steps) {
    const step = page.locator(`#step-${s.n}`);
    await step.getByRole("button", { name: "Do it" }).click();
    const result = step.locator(".result");
    await result.waitFor({ state: "visible" });
    assert.match(await result.locator(".verdict").innerText(), new RegExp(s.verdict), `step ${s.n}`);
    assert.match(await result.textContent(), s.holds, `step ${s.n}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 1280, `step ${s.n} makes the page ${wide} wide`);
    if (s.clause) assert.match(await result.locator(".where").first().innerText(), s.clause, `step ${s.n}`);
  }
  assert.deepEqual(await audit(page), []);
  assert.deepEqual(problems, []);
  await page.close();
});

test("every guided step works by keyboard alone, on a narrow screen", async () => {
  const page = await browser.newPage({ viewport: { width: 360, height: 740 } });
  const problems = watch(page);
  await page.goto(demo.url + "/?person=2");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 360, `the page is ${wide} wide and scrolls sideways`);
  for (const s of steps) {
    for (let presses = 0; ; presses++) {
      assert.ok(presses < 200, `step ${s.n} is not reached by Tab`);
      await page.keyboard.press("Tab");
      const at = await page.evaluate(() => {
        const e = document.activeElement;
        return e?.matches("button.button") ? e.closest(".step")?.id : "";
      });
      if (at === `step-${s.n}`) break;
    }
    await page.keyboard.press("Enter");
    const verdict = page.locator(`#step-${s.n} .verdict`);
    await verdict.waitFor({ state: "visible" });
    assert.match(await verdict.innerText(), new RegExp(s.verdict), `step ${s.n}`);
  }
  assert.deepEqual(problems, []);
  await page.close();
});

test("a refusal's clause leads to the words that say so", async () => {
  const page = await browser.newPage();
  await page.goto(demo.url + "/?person=3");
  await page.locator("#step-2 button").click();
  await page.locator("#step-2 .where a").first().click();
  await page.waitForURL(/\/policy\/privacy#/);
  const id = new URL(page.url()).hash.slice(1);
  assert.equal(await page.locator(`[id="${id}"]`).count(), 1);
  await page.close();
});

for (const [name, path] of [["the notice", "/policy"], ["the reference of the API", "/docs"]]) {
  test(`${name} is accessible, wide and narrow, light and dark`, async () => {
    for (const width of [1280, 360]) {
      for (const colorScheme of ["light", "dark"]) {
        const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
        const problems = watch(page);
        const answer = await page.goto(demo.url + path);
        assert.equal(answer.status(), 200);
        assert.deepEqual(await audit(page), []);
        const scroll = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(scroll <= width, `${path} is ${scroll} wide on a screen of ${width}`);
        assert.deepEqual(problems, []);
        await page.close();
      }
    }
  });
}

test("the notice and the reference need no script", async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  for (const path of ["/policy", "/docs"]) {
    const page = await context.newPage();
    await page.goto(demo.url + path);
    assert.ok((await page.locator("h1").first().innerText()).length > 0);
    assert.equal(await page.locator("script").count(), 0);
    await page.close();
  }
  await context.close();
});

test("every curl line of the start page does what its button does", async () => {
  const { execFile } = await import("node:child_process");
  const { promisify } = await import("node:util");
  const run = promisify(execFile);
  const page = await browser.newPage();
  await page.goto(demo.url + "/?person=4");
  const env = { ...process.env };
  for (const [role, secret] of Object.entries(demo.tokens)) env[`ABIDE_${role.toUpperCase()}`] = secret;
  for (const s of steps) {
    const line = await page.locator(`#step-${s.n} .curl code`).textContent();
    const { stdout } = await run("bash", ["-c", line], { env, maxBuffer: 1 << 24 });
    assert.match(stdout, s.holds, `step ${s.n}: ${line}`);
  }
  await page.close();
});
