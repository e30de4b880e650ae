/** The device itself: dark glass on a wall. Shows what its screen shows and nothing that only the tester knows. */
import { icon, make } from "../dom";
import { alarm, answerSound, cardSound, keySound, silence, wakeSound } from "./sound";
import { left, type Act, type Known, type ScreenName, type Seen } from "./types";

const LETTERS: Record<string, string> = { 2: "ABC", 3: "DEF", 4: "GHI", 5: "JKL", 6: "MNO", 7: "PQRS", 8: "TUV", 9: "WXYZ" };
const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const RING = 2 * Math.PI * 46;

/** The colour of the light bar, by screen. */
const LEDS: Record<ScreenName, string> = {
  off: "off",
  booting: "busy",
  idle: "idle",
  typing: "idle",
  asking: "busy",
  granted: "granted",
  refused: "refused",
  failed: "refused",
  waiting: "refused",
  emergency: "emergency",
};

export interface DeviceView {
  element: HTMLElement;
  show: (seen: Seen) => void;
  /** Once a second or so: clock and countdowns. */
  tick: () => void;
  /** Presses a key as a finger would, with light and sound. */
  press: (key: string) => void;
  cardSeen: () => void;
}

/** Builds the device; `act` sends what a finger does. */
export function device(known: Known, act: Act): DeviceView {
  const say = (code: string, places: Record<string, string> = {}): string =>
    (known.words[code] ?? code).replace(/\{(\w+)\}/g, (whole, name: string) => places[name] ?? whole);
  // Day before month, as most of the world writes it; the site's own wish comes with the site's settings.
  const locale = known.language === "en" ? "en-GB" : known.language;
  const number = (value: number): string => value.toLocaleString(known.language, { useGrouping: false });
  const lines = (code: string): (Node | string)[] => say(code).split("\n").flatMap((line, at) => (at ? [make("br"), line] : [line]));
  let seen: Seen = { state: known.state, at: performance.now() };
  let shown = "";

  const status = make("p", { class: "gh-vh", role: "status" });
  const alert = make("p", { class: "gh-vh", role: "alert" });
  const screen = make("div", { class: "gh-screen" });
  const reader = make("div", { class: "gh-reader" }, icon("nfc"), make("span"));
  const buttons = new Map<string, HTMLButtonElement>();
  const pad = make("div", { class: "gh-pad", role: "group", "aria-label": say("keypad"), dir: "ltr" });
  for (const key of KEYS) {
    const name = key === "*" ? say("star") : key === "#" ? say("hash") : null;
    const label = make("small", {}, name ?? LETTERS[key] ?? "");
    const button = make(
      "button",
      { type: "button", "aria-label": name ? `${key} ${name}` : key, tabindex: key === "1" ? "0" : "-1", pointerdown: wakeSound, click: () => press(key) },
      make("span", {}, key),
      label,
    );
    if (name) label.lang = known.language;
    buttons.set(key, button);
    pad.append(button);
  }
  // Arrow keys walk over the keypad; one stop for the tabulator.
  pad.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 3, ArrowUp: -3 }[event.key];
    const at = KEYS.findIndex((key) => buttons.get(key) === document.activeElement);
    const next = step === undefined || at < 0 ? undefined : buttons.get(KEYS[at + step] ?? "");
    if (!next) return;
    event.preventDefault();
    for (const button of buttons.values()) button.tabIndex = button === next ? 0 : -1;
    next.focus();
  });

  const infrared = (): HTMLElement => make("span", { class: "gh-infrared", "aria-hidden": "true" }, make("i"), make("i"), make("i"));
  const element = make(
    "div",
    { class: "gh-dev", role: "region", "aria-label": say("device"), lang: known.language, dir: known.direction },
    make(
      "div",
      { class: "gh-glass" },
      make("div", { class: "gh-brow" }, infrared(), make("span", { class: "gh-eye", "aria-hidden": "true" }), infrared()),
      make("div", { class: "gh-led", "aria-hidden": "true" }),
      screen,
      pad,
      reader,
    ),
    status,
    alert,
  );

  function press(key: string): void {
    const button = buttons.get(key);
    button?.classList.add("gh-hit");
    setTimeout(() => button?.classList.remove("gh-hit"), 150);
    if (seen.state.device.power) keySound();
    act({ act: "key", key });
  }

  function cardSeen(): void {
    reader.classList.add("gh-on");
    setTimeout(() => reader.classList.remove("gh-on"), 700);
    if (seen.state.device.power) cardSound();
  }

  // --- screens ---------------------------------------------------------------------------------

  const head = (): HTMLElement => {
    const { line, device } = seen.state;
    const sign = !line.claimed
      ? make("span", { class: "gh-warn" }, icon("hourglass"), say("setup"))
      : line.up && !device.cable_cut
        ? make("span", {}, icon("wifi"))
        : make("span", { class: "gh-warn" }, icon("wifi-off"), say("offline"));
    return make("div", { class: "gh-screen-head" }, make("bdi", { class: "gh-cut" }, known.site), sign);
  };
  const disc = (name: string, ring: boolean): HTMLElement => {
    const made = make("div", { class: "gh-disc" }, icon(name));
    if (ring) made.insertAdjacentHTML("beforeend", `<svg class="gh-count" viewBox="0 0 100 100" aria-hidden="true"><circle cx="50" cy="50" r="46"/></svg>`);
    return made;
  };
  const doors = (): string => {
    const names = seen.state.device.relays.filter((relay) => seen.state.device.released.includes(relay.id)).map((relay) => relay.name);
    return names.length ? say("granted_sub", { door: new Intl.ListFormat(known.language).format(names) }) : "";
  };
  const dots = (): HTMLElement => {
    const { typed, unit } = seen.state.device;
    const row = make("div", { class: "gh-dots", dir: "ltr", "aria-hidden": "true" });
    for (let at = 0; at < typed; at++) {
      if (unit === at && at) row.append(make("b", {}, "#"));
      row.append(make("i"));
    }
    row.append(make("u"));
    return row;
  };

  const screens: Record<ScreenName, () => (Node | string)[]> = {
    off: () => [],
    booting: () => {
      const mark = icon("logo", "gh-boot");
      return [mark, make("p", { class: "gh-sub" }, say("booting"))];
    },
    idle: () => [
      head(),
      make("div", { class: "gh-clock", "data-clock": "" }),
      make("p", { class: "gh-date", "data-date": "" }),
      make("p", { class: "gh-ask" }, ...lines("ask")),
      make(
        "div",
        { class: "gh-place" },
        make("bdi", { class: "gh-cut" }, known.name),
        seen.state.line.claimed && !(seen.state.line.up && !seen.state.device.cable_cut) ? make("span", {}, say("offline_sub")) : null,
      ),
    ],
    typing: () => [head(), dots(), make("p", { class: "gh-sub gh-lead" }, say(seen.state.device.unit === null ? "typing" : "typing_unit"))],
    asking: () => [head(), make("div", { class: "gh-dots gh-busy", "aria-hidden": "true" }, make("i"), make("i"), make("i")), make("p", { class: "gh-sub gh-lead" }, say("asking"))],
    granted: () => [disc("check", true), make("p", { class: "gh-big" }, say("granted")), make("p", { class: "gh-sub" }, make("bdi", {}, doors()))],
    refused: () => [disc("x", false), make("p", { class: "gh-big" }, say("refused")), make("p", { class: "gh-sub" }, say("refused_sub"))],
    failed: () => [disc("alert-triangle", false), make("p", { class: "gh-big" }, say("failed")), make("p", { class: "gh-sub" }, say("failed_sub"))],
    waiting: () => [make("div", { class: "gh-disc gh-figure" }, make("span", { "data-left": "" })), make("p", { class: "gh-big" }, say("waiting")), make("p", { class: "gh-sub" }, say("waiting_sub"))],
    emergency: () => [
      make("div", { class: "gh-screen-head" }, make("span", {}, icon("flame"), say(seen.state.device.fire ? "fire" : "emergency"))),
      make("p", { class: "gh-huge" }, ...lines("leave")),
      make("p", { class: "gh-stairs" }, ...lines("leave_sub")),
      make("div", { class: "gh-way" }, wayOut(), say("way_out")),
    ],
  };

  function show(next: Seen): void {
    seen = next;
    const { device: now, line } = seen.state;
    const key = [now.screen, now.released.join(), now.typed, now.unit, line.up, line.claimed, now.cable_cut, now.fire].join("|");
    const before = element.dataset["screen"];
    element.dataset["screen"] = now.screen;
    element.dataset["led"] = LEDS[now.screen];
    const open = now.screen === "emergency";
    reader.lastElementChild!.textContent = now.power ? say(open ? "reader_open" : "reader") : "";
    if (key !== shown) {
      shown = key;
      screen.replaceChildren(...screens[now.screen]());
      const told = tell(now.screen);
      // What is not urgent waits until the screen reader has finished; a refusal and a fire do not.
      (now.screen === "refused" || now.screen === "emergency" || now.screen === "failed" ? alert : status).textContent = told;
    }
    if (before !== now.screen) {
      if (now.screen === "granted" || now.screen === "refused" || now.screen === "failed") answerSound(now.screen === "granted");
      if (now.screen !== "emergency") silence();
    }
    if (now.screen === "emergency" && !document.hidden) alarm();
    tick();
  }

  function tell(name: ScreenName): string {
    const { typed } = seen.state.device;
    if (name === "off") return "";
    if (name === "idle") return say("ask").replace("\n", " ");
    if (name === "typing") return say("typed", { count: number(typed) });
    if (name === "granted") return `${say("granted")}. ${doors()}`;
    if (name === "emergency") return `${say(seen.state.device.fire ? "fire" : "emergency")}. ${say("leave").replace("\n", " ")}. ${say("leave_sub").replace("\n", " ")}`;
    if (name === "asking" || name === "booting") return say(name);
    return `${say(name)}. ${say(`${name}_sub`)}`;
  }

  const time = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: known.zone });
  const date = new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long", timeZone: known.zone });
  const write = (selector: string, text: string): void => {
    const place = screen.querySelector(selector);
    if (place && place.textContent !== text) place.textContent = text;
  };

  function tick(): void {
    const wall = seen.state.wall_ms + (performance.now() - seen.at);
    write("[data-clock]", time.format(wall));
    write("[data-date]", date.format(wall));
    const rest = left(seen.state.device.left_ms, seen);
    write("[data-left]", number(Math.ceil(rest / 1_000)));
    const ring = screen.querySelector<SVGCircleElement>(".gh-count circle");
    if (!ring) return;
    // The ring runs with the relay that stays released longest, and says how long there is still time.
    const relays = seen.state.device.relays.filter((relay) => seen.state.device.released.includes(relay.id));
    const longest = Math.max(0, ...relays.map((relay) => left(relay.left_ms, seen)));
    const whole = Number((ring.dataset["whole"] ??= String(Math.max(longest, 1))));
    ring.style.strokeDasharray = `${RING}`;
    ring.style.strokeDashoffset = `${RING * (1 - Math.min(1, longest / whole))}`;
  }

  return { element, show, tick, press, cardSeen };
}

function wayOut(): SVGSVGElement {
  const holder = document.createElement("template");
  holder.innerHTML =
    '<svg class="gh-arrow" viewBox="0 0 96 40" fill="none" stroke="currentColor" stroke-width="5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M3 20h86M70 5l20 15-20 15"/></svg>';
  return holder.content.firstElementChild as SVGSVGElement;
}
