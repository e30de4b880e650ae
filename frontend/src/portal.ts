/** The portal's islands: htmx with our manners, hold to open, live parts, toasts, menus, theme. */
import htmx from "htmx.org";
import { writeAgo } from "./ago";
import { find, findAll } from "./dom";
import { enhanceHolds, showResult, type HoldResult } from "./hold";
import { startLive } from "./live";
import { startScreens } from "./screens";
import { themeSwitch } from "./theme-switch";
import { enhanceToasts, toast, type Tone } from "./toast";
import { word } from "./words";

htmx.config.allowEval = false;
htmx.config.includeIndicatorStyles = false;
htmx.config.historyCacheSize = 0; // A page of persons and doors has no place in the browser's storage.
htmx.config.selfRequestsOnly = true;
htmx.config.responseHandling = [
  { code: "204", swap: false },
  { code: "[23]..", swap: true },
  { code: "422", swap: true }, // A form with its faults.
  { code: "[45]..", swap: false, error: true },
];
// Attributes hx-... in templates need the name.
(window as unknown as { htmx: typeof htmx }).htmx = htmx;

function arrived(within: ParentNode = document): void {
  enhanceHolds(within);
  enhanceToasts();
  writeAgo();
}

function menus(): void {
  document.addEventListener("click", (event) => {
    for (const menu of findAll(HTMLDetailsElement, "details.gh-menu[open]")) if (!(event.target instanceof Node && menu.contains(event.target))) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    delete document.documentElement.dataset["ghNav"];
    for (const menu of findAll(HTMLDetailsElement, "details.gh-menu[open]")) {
      menu.open = false;
      find(HTMLElement, "summary", menu)?.focus();
    }
  });
}

function clicks(): void {
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const target = event.target;
    if (target.closest("[data-gh-nav-toggle]")) {
      const root = document.documentElement;
      if (root.dataset["ghNav"] === "open") delete root.dataset["ghNav"];
      else {
        root.dataset["ghNav"] = "open";
        find(HTMLElement, ".gh-nav a")?.focus();
      }
    }
    const reveal = target.closest("[data-gh-reveal]");
    if (reveal) {
      const field = document.getElementById(reveal.getAttribute("data-gh-reveal") ?? "");
      if (field instanceof HTMLInputElement) {
        field.type = field.type === "password" ? "text" : "password";
        reveal.setAttribute("aria-pressed", String(field.type === "text"));
      }
    }
    if (target.closest("[data-gh-reload]")) location.reload();
    const fill = target.closest("[data-gh-fill]");
    if (fill)
      for (const [id, value] of Object.entries(JSON.parse(fill.getAttribute("data-gh-fill") ?? "{}") as Record<string, string>)) {
        const field = document.getElementById(id);
        if (field instanceof HTMLInputElement) field.value = value;
      }
    const row = target.closest("tr[data-gh-href]");
    if (row && !target.closest("a, button, input, label, select") && !getSelection()?.toString()) find(HTMLAnchorElement, "a[href]", row)?.click();
  });
}

function keys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLElement && event.target.closest("input, textarea, select, [contenteditable]")) return;
    const search = find(HTMLInputElement, "[data-gh-search]");
    if (!search) return;
    event.preventDefault();
    search.focus();
    search.select();
  });
}

function answers(): void {
  // HX-Trigger: {"gh-toast": {"text", "tone"}, "gh-hold": {"relay", "state", ...}}
  document.body.addEventListener("gh-toast", (event) => {
    const { text, tone } = (event as CustomEvent<{ text: string; tone?: Tone }>).detail;
    toast(text, tone);
  });
  document.body.addEventListener("gh-hold", (event) => showResult((event as CustomEvent<HoldResult>).detail));
  const failed = (event: Event, said: string): void => {
    const source = (event as CustomEvent<{ elt?: Element }>).detail.elt;
    const relay = source instanceof HTMLFormElement ? find(HTMLElement, "[data-gh-hold]", source)?.dataset["ghHold"] : undefined;
    if (relay) showResult({ relay, state: "failed", text: said });
    else toast(said, "refused");
  };
  document.body.addEventListener("htmx:sendError", (event) => failed(event, word("error.network")));
  document.body.addEventListener("htmx:responseError", (event) => {
    const { xhr } = (event as CustomEvent<{ xhr: XMLHttpRequest }>).detail;
    if (xhr.status === 401) return location.reload();
    if (xhr.getResponseHeader("HX-Trigger")) return; // The answer speaks for itself.
    failed(event, word(xhr.status === 403 ? "error.denied" : "error.server"));
  });
}

themeSwitch();
menus();
clicks();
keys();
answers();
startScreens();
arrived();
document.addEventListener("gh-arrived", (event) => {
  const { list } = (event as CustomEvent<{ list: Element }>).detail;
  htmx.process(list);
  arrived(list);
});
document.body.addEventListener("htmx:afterSettle", () => arrived());
setInterval(writeAgo, 1_000);
startLive();
