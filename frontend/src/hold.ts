/**
 * Hold to open: the deliberate act, the same everywhere.
 *
 * A button `[data-gh-hold]` in a form submits that form when it was held for 700 ms: finger or mouse kept down, or Space or Enter
 * kept down. A click that nothing preceded (screen reader, switch, voice) asks first: "Tap again to open". So does every press
 * when the person chose `data-gh-hold-way="tap"` on <html>. Letting go cancels.
 *
 * States stand in `data-gh-state`: idle, holding, confirm, sent, opened, refused, failed. What became of it arrives as an event
 * `gh-hold` on document.body (HX-Trigger of the answer, or the live stream), detail {relay, state, text?, seconds?}.
 */
import { announce, findAll, icon, setIcon } from "./dom";
import { word } from "./words";

const HOLD_MS = 700;
const CONFIRM_MS = 5_000;
const ANSWER_MS = 10_000;
const SHOW_MS = 4_000;

export type HoldState = "idle" | "holding" | "confirm" | "sent" | "opened" | "refused" | "failed";
/** What became of an opening: of which relay, and for an opened one the seconds it stays open. */
export interface HoldResult {
  relay: string;
  state: "sent" | "opened" | "refused" | "failed";
  text?: string;
  seconds?: number;
}

const marks: Record<HoldState, string> = {
  idle: "hand-finger",
  holding: "hand-finger",
  confirm: "hand-finger",
  sent: "hourglass",
  opened: "check",
  refused: "x",
  failed: "alert-triangle",
};

const known = new WeakMap<HTMLButtonElement, Hold>();
/** What was last shown for a relay and until when, so that a button that replaces another goes on where it was. */
const shown = new Map<string, { result: HoldResult; until: number }>();

class Hold {
  private readonly label: HTMLElement;
  private readonly rest: string;
  private readonly mark: SVGElement;
  private timer = 0;
  private countdown = 0;
  private pressed = false;

  constructor(private readonly button: HTMLButtonElement) {
    this.label = [...button.children].reverse().find((child) => child instanceof HTMLElement) as HTMLElement | undefined ?? button.appendChild(document.createElement("span"));
    this.rest = this.label.textContent?.trim() || word("hold.rest");
    this.label.textContent = this.rest;
    const given = button.querySelector<SVGElement>("svg.gh-i") ?? icon("hand-finger");
    const ring = document.createElement("span");
    ring.className = "gh-ring";
    ring.innerHTML = '<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="10"/><circle cx="12" cy="12" r="10"/></svg>';
    ring.append(given);
    this.mark = given;
    button.prepend(ring);
    if (!button.disabled) this.resume();

    button.addEventListener("pointerdown", (event) => {
      if (event.button === 0) this.press(event.pointerId);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) button.addEventListener(end, () => this.release());
    button.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault(); // The key's own click would count as a press.
      if (!event.repeat) this.press();
    });
    button.addEventListener("keyup", (event) => {
      if (event.key === " " || event.key === "Enter") this.release();
    });
    button.addEventListener("contextmenu", (event) => event.preventDefault());
    button.addEventListener("click", (event) => {
      event.preventDefault();
      if (event.detail === 0 && !this.pressed) this.tap();
      this.pressed = false;
    });
  }

  private get relay(): string {
    return this.button.dataset["ghHold"] ?? "";
  }

  private resume(): void {
    this.show("idle");
    const last = shown.get(this.relay);
    const left = (last?.until ?? 0) - Date.now();
    if (last && left > 0) this.go(last.result, left);
  }

  private get state(): HoldState {
    return (this.button.dataset["ghState"] ?? "idle") as HoldState;
  }

  private press(pointer?: number): void {
    if (this.button.disabled || this.state === "sent" || this.state === "holding") return;
    this.pressed = true;
    if (this.state === "confirm" || document.documentElement.dataset["ghHoldWay"] === "tap") return this.tap();
    if (pointer !== undefined) this.button.setPointerCapture(pointer);
    navigator.vibrate?.(8);
    this.show("holding", word("hold.holding"));
    this.timer = window.setTimeout(() => this.open(), HOLD_MS);
  }

  private release(): void {
    if (this.state !== "holding") return;
    this.show("idle", word("hold.short"));
    this.timer = window.setTimeout(() => this.show("idle"), 1_500);
  }

  private tap(): void {
    if (this.state === "confirm") return this.open();
    if (this.state === "sent") return;
    this.show("confirm", word("hold.confirm"));
    announce(word("hold.confirm"));
    this.timer = window.setTimeout(() => this.show("idle"), CONFIRM_MS);
  }

  private open(): void {
    navigator.vibrate?.([12, 60, 12]);
    keep({ relay: this.relay, state: "sent" });
    this.go({ relay: this.relay, state: "sent" }, ANSWER_MS);
    if (!this.button.dispatchEvent(new CustomEvent("gh-open", { bubbles: true, cancelable: true }))) return;
    this.button.form?.requestSubmit();
  }

  /** Something became of it. */
  result(result: HoldResult): void {
    const said = this.go(result, lasting(result));
    if (result.state === "sent") return;
    if (result.state !== "opened") navigator.vibrate?.(180);
    announce(`${this.button.getAttribute("aria-label") ?? ""} ${said}`.trim());
  }

  /** Show it for so long; returns what is said. */
  private go(result: HoldResult, left: number): string {
    if (result.state === "opened" && result.seconds) return this.count(Date.now() + left, result.text);
    const said = result.text ?? word(`hold.${result.state}`);
    this.show(result.state, said);
    this.timer = window.setTimeout(() => (result.state === "sent" ? showResult({ relay: this.relay, state: "failed" }) : this.show("idle")), left);
    return said;
  }

  private count(until: number, text?: string): string {
    const seconds = Math.ceil((until - Date.now()) / 1_000);
    if (seconds <= 0) {
      this.show("idle");
      return "";
    }
    const said = text ?? word("hold.opened_seconds", { seconds });
    this.show("opened", said);
    this.countdown = window.setTimeout(() => this.count(until, text), 250);
    return said;
  }

  private show(state: HoldState, text = this.rest): void {
    clearTimeout(this.timer);
    clearTimeout(this.countdown);
    this.button.dataset["ghState"] = state;
    if (this.label.textContent !== text) this.label.textContent = text;
    setIcon(this.mark, marks[state]);
  }
}

function lasting(result: HoldResult): number {
  if (result.state === "sent") return ANSWER_MS;
  return result.state === "opened" && result.seconds ? result.seconds * 1_000 : SHOW_MS;
}

function keep(result: HoldResult): void {
  shown.set(result.relay, { result, until: Date.now() + lasting(result) });
}

/** Takes over every hold button in the document that it does not have yet. */
export function enhanceHolds(within: ParentNode = document): void {
  for (const button of findAll(HTMLButtonElement, "[data-gh-hold]", within)) if (!known.has(button)) known.set(button, new Hold(button));
}

/** Shows on every button of a relay what became of an opening. */
export function showResult(result: HoldResult): void {
  keep(result);
  for (const button of findAll(HTMLButtonElement, `[data-gh-hold="${CSS.escape(result.relay)}"]`)) known.get(button)?.result(result);
}
