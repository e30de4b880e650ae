/**
 * Live parts of a page. The stream says only *that* something changed ("changed", {topic}); what it looks like is asked from the
 * server, which checks rights again. An element with `data-gh-live="topic ..."` hears of its topics as the event `gh-changed`
 * (for hx-trigger); and
 *  - a list, `data-gh-rows="<address>"`: rows newer than its first are asked (`?after=<data-gh-id>`) and slide in on top, unless
 *    somebody reads: then they are counted in the bar `[data-gh-live-bar]` of the same sheet; with `data-gh-at` each by its time;
 *  - a part, `data-gh-part="<address>"`: is replaced by the answer, unless a door is being held in it.
 */
import { announce, find, findAll } from "./dom";
import { showResult, type HoldResult } from "./hold";
import { listen, type Heard } from "./stream";
import { toast, type Tone } from "./toast";
import { word } from "./words";

const MOST_ROWS = 200;
const LOST_AFTER_MS = 2_500;
const busy = new WeakSet<Element>();
const again = new WeakSet<Element>();
const written = new WeakMap<Element, string>();
const waiting = new WeakMap<Element, HTMLTableRowElement[]>();
let seen = new Date();

async function ask(address: string): Promise<string | null> {
  const answer = await fetch(address, { headers: { "X-Requested-With": "fetch", "HX-Request": "true" }, credentials: "same-origin" });
  if (answer.status === 401 || answer.redirected) location.reload();
  return answer.ok ? answer.text() : null;
}

/** Somebody reads a list when it was scrolled, a row is open or focused, or the pointer rests on its rows. */
function reading(list: Element): boolean {
  if (list.matches("[data-gh-paused]")) return true;
  const box = list.getBoundingClientRect();
  const scrolled = box.top < 0 && box.bottom > 0;
  return scrolled || list.matches(":hover") || list.contains(document.activeElement) || !!list.querySelector('[aria-selected="true"]');
}

function sheetOf(list: Element): ParentNode {
  return list.closest(".gh-sheet") ?? list.parentElement ?? document;
}

function count(list: Element): void {
  const bar = find(HTMLElement, "[data-gh-live-bar]", sheetOf(list));
  if (!bar) return;
  const rows = waiting.get(list)?.length ?? 0;
  bar.hidden = rows === 0;
  const figure = find(HTMLElement, "[data-gh-live-count]", bar);
  if (figure && rows) figure.textContent = word("live.new", { count: rows });
}

/** Puts a row where its time belongs: what arrives late (a line was cut) stands below what happened after it. */
function place(list: Element, row: HTMLTableRowElement): void {
  const at = row.dataset["ghAt"] ?? "";
  const later = [...list.children].find((other) => !at || (other.getAttribute("data-gh-at") ?? "") <= at);
  list.insertBefore(row, later ?? null);
}

/** Shows the rows that wait, without moving what is being read. */
function flush(list: Element): void {
  const rows = waiting.get(list) ?? [];
  waiting.delete(list);
  const top = list.getBoundingClientRect().top;
  for (const row of rows) row.classList.add("gh-fresh");
  for (const row of [...rows].reverse()) place(list, row); // The oldest first: of equals the newest stands on top.
  for (const extra of [...list.children].slice(MOST_ROWS)) extra.remove();
  if (top < 0) scrollBy(0, rows.reduce((sum, row) => sum + row.getBoundingClientRect().height, 0));
  count(list);
  document.dispatchEvent(new CustomEvent("gh-arrived", { detail: { list } }));
}

async function rows(list: Element, address: string): Promise<void> {
  const newest = waiting.get(list)?.[0] ?? list.querySelector("[data-gh-id]");
  const url = new URL(address, location.href);
  const after = newest?.getAttribute("data-gh-id");
  if (after) url.searchParams.set("after", after);
  const html = await ask(url.href);
  if (html === null) return;
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const fresh = [...holder.content.querySelectorAll("tr")].filter((row) => {
    const id = row.getAttribute("data-gh-id");
    const waits = waiting.get(list)?.some((other) => other.getAttribute("data-gh-id") === id);
    return id !== null && !waits && !list.querySelector(`[data-gh-id="${CSS.escape(id)}"]`);
  });
  if (!fresh.length) return;
  find(HTMLElement, "[data-gh-empty]", sheetOf(list))?.remove();
  waiting.set(list, [...fresh, ...(waiting.get(list) ?? [])]);
  if (reading(list)) count(list);
  else flush(list);
}

async function part(element: Element, address: string): Promise<void> {
  const html = await ask(address);
  if (html === null || html === written.get(element)) return;
  if (element.querySelector('[data-gh-state="holding"], [data-gh-state="confirm"]')) {
    setTimeout(() => void renew(element), 1_000); // A finger is on a door in it.
    return;
  }
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const hold = focused?.getAttribute("data-gh-hold");
  const same = focused?.id ? `#${CSS.escape(focused.id)}` : hold ? `[data-gh-hold="${CSS.escape(hold)}"]` : "";
  element.innerHTML = html;
  written.set(element, html);
  if (same) find(HTMLElement, same, element)?.focus();
  document.dispatchEvent(new CustomEvent("gh-arrived", { detail: { list: element } }));
}

/** One question at a time for each element; changes meanwhile make it ask once more. */
async function renew(element: Element): Promise<void> {
  element.dispatchEvent(new CustomEvent("gh-changed", { bubbles: false }));
  const list = element.getAttribute("data-gh-rows");
  const whole = element.getAttribute("data-gh-part");
  if (list === null && whole === null) return;
  if (busy.has(element)) return void again.add(element);
  busy.add(element);
  try {
    do {
      again.delete(element);
      if (list !== null) await rows(element, list);
      if (whole !== null) await part(element, whole);
    } while (again.has(element));
  } catch {
    // The network failed between two events: the stream notices too, and asks again when it is back.
  } finally {
    busy.delete(element);
  }
}

function changed(topics: string[] | null): void {
  for (const element of findAll(Element, "[data-gh-live]")) {
    const own = (element.getAttribute("data-gh-live") ?? "").split(/\s+/);
    if (topics === null || topics.some((topic) => own.includes(topic))) void renew(element);
  }
}

function heard({ name, data }: Heard): void {
  seen = new Date();
  if (name === "bye") return location.reload();
  const value = JSON.parse(data) as { topic?: string; topics?: string[] } & Partial<HoldResult> & { text?: string; tone?: Tone };
  if (name === "changed") changed(value.topics ?? (value.topic ? [value.topic] : null));
  if (name === "hold" && value.relay && value.state) showResult(value as HoldResult);
  if (name === "toast" && value.text) toast(value.text, value.tone);
}

let lostTimer = 0;
let lost = false;
let first = true;

function line(state: "up" | "lost", ended: boolean): void {
  clearTimeout(lostTimer);
  const bar = find(HTMLElement, "[data-gh-lost]");
  if (state === "up") {
    document.documentElement.dataset["ghLine"] = "up";
    if (bar) bar.hidden = true;
    if (lost) announce(word("live.back"));
    // What happened meanwhile is asked once, for everything that is live here; at first, what happened while the page was loading.
    if (lost || first) changed(null);
    lost = first = false;
    return;
  }
  // A short break (a restart, a switch of networks) is not worth a word.
  lostTimer = window.setTimeout(
    () => {
      lost = true;
      document.documentElement.dataset["ghLine"] = "lost";
      if (!bar) return;
      const text = find(HTMLElement, "[data-gh-lost-text]", bar);
      const time = seen.toLocaleTimeString(document.documentElement.lang || undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
      if (text) text.textContent = word("live.lost", { time });
      bar.hidden = false;
    },
    ended ? 0 : LOST_AFTER_MS,
  );
}

/** Starts what `<body data-gh-stream="...">` asks for. */
export function startLive(): void {
  const url = document.body.dataset["ghStream"];
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-gh-live-show]") : null;
    const list = button?.closest(".gh-sheet")?.querySelector("[data-gh-rows]");
    if (!button || !list) return;
    flush(list);
    list.closest(".gh-sheet")?.scrollIntoView({ block: "nearest" });
  });
  // Who stops reading gets what came meanwhile.
  for (const end of ["pointerleave", "focusout"])
    document.addEventListener(end, (event) => {
      const list = event.target instanceof Element ? event.target.closest("[data-gh-rows]") : null;
      if (list && waiting.get(list)?.length) setTimeout(() => reading(list) || flush(list), 400);
    }, true);
  if (!url) return;
  listen(url, heard, line);
}
