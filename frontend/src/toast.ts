/** Short messages at the corner. A refusal stays until it is dismissed; everything else goes by itself, not while it is looked at. */
import { find, findAll, icon } from "./dom";
import { word } from "./words";

export type Tone = "done" | "refused" | "violation" | "info";
const marks: Record<Tone, [name: string, meaning: string]> = {
  done: ["circle-check", "gh-granted"],
  refused: ["circle-x", "gh-refused"],
  violation: ["alert-triangle", "gh-violation"],
  info: ["info-circle", "gh-mut"],
};
const STAY_MS = 6_000;

function container(): HTMLElement {
  const there = find(HTMLElement, "[data-gh-toasts]");
  if (there) return there;
  const made = document.createElement("div");
  made.className = "gh-toasts";
  made.dataset["ghToasts"] = "";
  made.setAttribute("role", "status");
  document.body.append(made);
  return made;
}

function dismiss(toast: HTMLElement): void {
  toast.classList.add("gh-leaving");
  setTimeout(() => toast.remove(), 240);
}

function arm(toast: HTMLElement): void {
  if (toast.dataset["ghArmed"]) return;
  toast.dataset["ghArmed"] = "1";
  toast.querySelector("button")?.addEventListener("click", () => dismiss(toast));
  if (toast.dataset["ghStay"] !== undefined) return;
  let timer = window.setTimeout(() => dismiss(toast), STAY_MS);
  toast.addEventListener("pointerenter", () => clearTimeout(timer));
  toast.addEventListener("pointerleave", () => (timer = window.setTimeout(() => dismiss(toast), STAY_MS / 2)));
}

/** Shows a message; the same text twice is shown once. */
export function toast(text: string, tone: Tone = "info"): void {
  const box = container();
  for (const old of findAll(HTMLElement, ".gh-toast", box)) if (old.dataset["ghText"] === text) old.remove();
  const made = document.createElement("div");
  made.className = "gh-toast";
  made.dataset["ghText"] = text;
  if (tone === "refused") made.dataset["ghStay"] = "";
  const [name, meaning] = marks[tone];
  const said = document.createElement("span");
  said.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.setAttribute("aria-label", word("toast.dismiss"));
  close.append(icon("x"));
  made.append(icon(name, meaning), said, close);
  box.append(made);
  arm(made);
}

/** Takes over toasts that the server put into the page. */
export function enhanceToasts(): void {
  for (const made of findAll(HTMLElement, "[data-gh-toasts] .gh-toast")) arm(made);
}
