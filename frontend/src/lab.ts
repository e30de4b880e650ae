/** The panel of one virtual device: the device on a wall, and the tester's hands beside it. */
import { find, icon, make, setIcon } from "./dom";
import { device } from "./lab/device";
import { feed } from "./lab/feed";
import { hands } from "./lab/hands";
import { silence, soundOn, switchSound, wakeSound } from "./lab/sound";
import type { Known, Seen, State } from "./lab/types";
import { themeSwitch } from "./theme-switch";

const KEY_PAUSE_MS = 130;

function start(root: HTMLElement, known: Known): void {
  let socket: WebSocket | undefined;
  let seen: Seen = { state: known.state, at: performance.now() };
  let typing = 0;

  const act = (message: Record<string, unknown>): void => {
    wakeSound();
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  const type = (text: string): void => {
    clearTimeout(typing);
    act({ act: "clear" });
    let at = 0;
    const next = (): void => {
      const key = text[at++];
      if (!key) return;
      phone.press(key);
      typing = window.setTimeout(next, KEY_PAUSE_MS);
    };
    next();
  };

  const phone = device(known, act);
  const tray = hands(known, act, type, phone.cardSeen);
  const heard = feed(known);

  // --- the bar ---------------------------------------------------------------------------------
  const line = make("span", { class: "gh-meta gh-line" }, icon("wifi"), make("span", {}));
  const clock = make("span", { class: "gh-meta gh-violation" }, icon("clock-exclamation"), make("span", {}));
  const sound = make("button", { type: "button", class: "gh-tool", click: () => (switchSound(), wakeSound(), showSound()) }, icon("volume"), make("span", { class: "gh-wide" }));
  const showSound = (): void => {
    setIcon(sound.querySelector("svg")!, soundOn() ? "volume" : "volume-off");
    sound.querySelector("span")!.textContent = soundOn() ? "Sound on" : "Sound off";
    sound.setAttribute("aria-pressed", String(soundOn()));
  
  };
  showSound();
  const count = known.state.device.relays.length;
  const bar = make(
    "header",
    { class: "gh-lab-bar" },
    make("a", { href: "/", class: "gh-home", "aria-label": "All virtual devices" }, icon("logo", "gh-logo"), make("span", { class: "gh-labtag" }, "Lab")),
    make("span", { class: "gh-where" }, make("bdi", { class: "gh-cut gh-site" }, known.site), make("span", { class: "gh-mut gh-site", "aria-hidden": "true" }, "/"), make("h1", { class: "gh-cut" }, make("bdi", {}, known.name))),
    make("span", { class: "gh-meta gh-wide" }, `Door phone, ${count} ${count === 1 ? "relay" : "relays"}`),
    make("span", { class: "gh-meta gh-wide gh-ltr gh-num" }, known.mac),
    clock,
    line,
    sound,
    make("button", { type: "button", class: "gh-tool", "data-gh-theme": "", "aria-label": "Light or dark" }, icon("moon", "gh-moon"), icon("sun", "gh-sun")),
  );
  const gone = make("div", { class: "gh-gone", role: "alert", hidden: "" }, icon("plug-connected-x"), make("span", {}));
  const band = make("div", { class: "gh-lab-band", hidden: "" }, icon("flame"), make("span", {}));
  const mini = make("span", { class: "gh-mini", "aria-hidden": "true" }, make("i"), make("span"));

  const { cards, pins, door, trouble, relays } = tray.elements;
  root.replaceChildren(
    bar,
    gone,
    band,
    make("main", { class: "gh-wall" }, phone.element),
    make(
      "aside",
      { class: "gh-tray", "aria-label": "Your hands" },
      make("div", { class: "gh-tray-head" }, make("h2", {}, "Your hands"), make("span", {}, "Not part of the device. What you do here, the door phone feels."), mini),
      make("div", { class: "gh-col" }, cards, ...(pins ? [pins] : []), door, trouble),
      make("div", { class: "gh-col" }, relays, heard.element),
    ),
  );

  // --- state -----------------------------------------------------------------------------------
  function show(state: State): void {
    seen = { state, at: performance.now() };
    phone.show(seen);
    tray.show(seen);
    heard.show(state);
    const { up, claimed, rtt_ms, off_ms, note } = state.line;
    const cut = state.device.cable_cut;
    const said = !state.device.power
      ? "No power"
      : cut
        ? "Cable cut"
        : up
          ? rtt_ms === null ? "Online" : `Online, ${rtt_ms} ms`
          : claimed ? "No line" : "Waiting to be claimed";
    line.querySelector("span")!.textContent = said;
    line.title = up && !cut ? "Round trip to the cloud" : (note ?? "");
    line.classList.toggle("gh-violation", !up || cut);
    setIcon(line.querySelector("svg")!, up && !cut ? "wifi" : "wifi-off");
    const off = Math.round((off_ms ?? state.device.skew_ms) / 1_000);
    clock.hidden = Math.abs(off) < 2;
    clock.querySelector("span")!.textContent = `Clock ${long(Math.abs(off))} ${off > 0 ? "fast" : "slow"}`;
    clock.title = off_ms === null ? "" : "Decisions go by the cloud's time, not by this clock";
    band.hidden = state.device.screen !== "emergency";
    band.querySelector("span")!.textContent = `Emergency at \u2068${known.site}\u2069: doors stand open.${state.device.fire ? ` Fire input, \u2068${known.name}\u2069.` : ""}`;
    root.classList.toggle("gh-em", !band.hidden);
    mini.dataset["led"] = phone.element.dataset["led"] ?? "off";
    mini.querySelector("span")!.textContent = MINI[state.device.screen] ?? "";
  }

  // --- the socket ------------------------------------------------------------------------------
  let pause = 400;
  function connect(): void {
    const address = new URL(known.socket, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(address);
    socket.onopen = () => {
      pause = 400;
      gone.hidden = true;
      root.classList.remove("gh-away");
    };
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data as string) as ({ type: "state" } & State) | { type: "no"; code: string };
      if (message.type === "state") show(message);
      else tray.badCard(known.reasons[message.code] ?? message.code);
    };
    socket.onclose = ({ code }) => {
      root.classList.add("gh-away");
      silence();
      gone.hidden = false;
      const over = code === 4401 || code === 4403;
      gone.querySelector("span")!.textContent = over ? "Your visit is over. Open the lab from the portal once more." : "The panel has lost the lab. Trying again.";
      if (over) return;
      setTimeout(connect, pause);
      pause = Math.min(5_000, pause * 1.6);
    };
  }

  // --- keys ------------------------------------------------------------------------------------
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const target = event.target;
    if (target instanceof HTMLElement && target.closest("input, select, textarea")) return;
    // At the device, keys are its keypad; anywhere else 1 to 4 hold cards to the reader.
    if (target instanceof Node && phone.element.contains(target)) {
      const key = { Backspace: "*", Escape: "*", Enter: target instanceof HTMLButtonElement ? "" : "#" }[event.key] ?? (/^[0-9*#]$/.test(event.key) ? event.key : "");
      if (!key) return;
      event.preventDefault();
      phone.press(key);
    } else if (/^[1-4]$/.test(event.key) && tray.holdCard(Number(event.key) - 1)) event.preventDefault();
  });

  themeSwitch();
  show(known.state);
  connect();
  setInterval(() => {
    phone.tick();
    tray.tick();
  }, 100);
}

const long = (seconds: number): string =>
  seconds >= 3_600 ? `${Math.round(seconds / 360) / 10} h` : seconds >= 120 ? `${Math.round(seconds / 60)} min` : `${seconds} s`;

const MINI: Record<string, string> = {
  off: "No power",
  booting: "Starting",
  idle: "Ready",
  typing: "Typing",
  asking: "Asking",
  granted: "Granted",
  refused: "Refused",
  failed: "Something is wrong",
  waiting: "Waits",
  emergency: "Emergency",
};

const root = find(HTMLElement, "#lab");
const known = document.getElementById("known")?.textContent;
if (root && known) start(root, JSON.parse(known) as Known);
