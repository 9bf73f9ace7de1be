// The steps of the start page: each button does what its curl line does.
"use strict";

const token = (role) => document.querySelector(`meta[name="token-${role}"]`)?.content ?? "";

async function call(role, method, path, body) {
  const headers = { Authorization: `Bearer ${token(role)}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers, body });
  const text = await response.text();
  let data = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    data = { detail: text };
  }
  return { status: response.status, data };
}

function element(name, className, text) {
  const e = document.createElement(name);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

function clauseLink(clause) {
  const [doc, id] = clause.split("#");
  const a = element("a", "clause", clause);
  a.href = `/policy/${encodeURIComponent(doc)}#${encodeURIComponent(id ?? "")}`;
  return a;
}

function reasonsList(reasons) {
  const list = element("ul", "reasons");
  for (const r of reasons ?? []) {
    const item = element("li");
    item.append(element("span", "text", r.text));
    if (r.clause) {
      const where = element("span", "where");
      where.append(clauseLink(r.clause));
      if (r.span?.file) where.append(` ${r.span.file}:${r.span.start.line}`);
      item.append(where);
    }
    item.append(element("code", "code", r.code));
    list.append(item);
  }
  return list;
}

function verdict(kind, text) {
  return element("p", `verdict ${kind}`, text);
}

function show(panel, { status, data }) {
  panel.replaceChildren();
  const decision = data?.decision;
  if (decision?.effect) {
    const permitted = decision.effect === "permit" && status < 400;
    panel.append(verdict(permitted ? "permit" : "deny", permitted ? "Permitted" : "Refused"));
    if (permitted && data.data) panel.append(values(data.data));
    panel.append(reasonsList(decision.reasons));
  } else if (data?.publishable !== undefined) {
    panel.append(verdict(data.publishable ? "permit" : "deny", data.publishable ? "Would publish" : "Does not publish"));
    const findings = element("pre", "findings", data.text);
    findings.tabIndex = 0;
    panel.append(findings);
  } else if (data?.form?.startsWith("abide-receipt/")) {
    panel.append(verdict("done", `Recorded: ${data.action}`));
    panel.append(element("p", "", "This is a signed receipt: it can be verified without this server."));
  } else if (data?.form?.startsWith("abide-erasure-certificate/")) {
    panel.append(verdict("done", "Erased"));
    panel.append(element("p", "", "The keys are destroyed; this certificate is signed."));
    panel.append(survivors(data.survives));
  } else if (status >= 400) {
    panel.append(verdict("deny", data?.title ?? `Status ${status}`));
    if (data?.detail) panel.append(element("p", "", data.detail));
  } else {
    panel.append(verdict("done", "Done"));
  }
  const raw = element("details", "raw");
  raw.append(element("summary", "", `Answer (HTTP ${status})`));
  const pre = element("pre", "", JSON.stringify(data, null, 2));
  pre.tabIndex = 0;
  raw.append(pre);
  panel.append(raw);
  panel.hidden = false;
}

function survivors(survives) {
  if (!survives?.length) return element("p", "", "Nothing survives.");
  const list = element("ul", "reasons");
  for (const s of survives) {
    const item = element("li");
    item.append(element("span", "text", `Survives: ${s.what}. Ground: ${s.ground}, until ${(s.until ?? "").slice(0, 10)}`));
    if (s.clause) item.append(clauseLink(s.clause));
    list.append(item);
  }
  return list;
}

function values(data) {
  const list = element("dl", "values");
  for (const [category, items] of Object.entries(data)) {
    list.append(element("dt", "", category));
    for (const item of items) {
      const v = typeof item.value === "string" ? item.value : JSON.stringify(item.value);
      list.append(element("dd", "", v));
    }
  }
  return list;
}

async function run(step) {
  const { method, path, role, body, editFile, editFrom, editTo } = step.dataset;
  if (!editFile) return call(role, method, path, body || undefined);
  const source = await call(role, "GET", "/v1/policy/source");
  if (source.status !== 200) return source;
  const files = source.data.files;
  files[editFile] = files[editFile].replace(editFrom, editTo);
  return call(role, method, path, JSON.stringify({ files }));
}

for (const step of document.querySelectorAll(".step")) {
  const button = step.querySelector("button");
  const panel = step.querySelector(".result");
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    try {
      show(panel, await run(step));
    } catch {
      panel.replaceChildren(verdict("deny", "The server was not reached. Is it still running?"));
      panel.hidden = false;
    } finally {
      button.disabled = false;
      button.removeAttribute("aria-busy");
    }
  });
}
