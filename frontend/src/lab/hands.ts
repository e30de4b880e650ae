/** The tester's hands: what the device feels and cannot show. */
import { icon, make } from "../dom";
import { left, type Act, type Known, type Leaf, type Relay, type Seen } from "./types";

export interface HandsView {
  elements: { cards: HTMLElement; pins: HTMLElement | null; door: HTMLElement; trouble: HTMLElement; relays: HTMLElement };
  show: (seen: Seen) => void;
  tick: () => void;
  /** Holds the nth card of the tray to the reader; false when there is none. */
  holdCard: (at: number) => boolean;
  /** The number in the field was no card's. */
  badCard: (reason: string) => void;
}

const LEAVES: Record<Leaf, string> = { closed: "is shut", open: "stands open", held: "is held open", forced: "was forced open" };
const HOUR_S = 3_600;

const box = (title: string, aside: Node | string | null, ...children: (Node | string)[]): HTMLElement =>
  make("section", { class: "gh-box" }, make("h3", {}, title, aside), ...children);

/** Builds the boxes; `type` presses keys at the device. */
export function hands(known: Known, act: Act, type: (text: string) => void, cardSeen: () => void): HandsView {
  let seen: Seen = { state: known.state, at: performance.now() };
  let chosen = known.state.device.relays[0]?.id ?? "";
  const relay = (): Relay | undefined => seen.state.device.relays.find((one) => one.id === chosen);

  // --- cards -----------------------------------------------------------------------------------
  const cards = known.cards.slice(0, 4).map((card, at) =>
    make(
      "button",
      { type: "button", class: `gh-card gh-card-${at + 1}`, title: `${card.label}, ${card.text}`, click: () => holdCard(at) },
      make("bdi", { class: "gh-card-name" }, card.label),
      make("small", { class: "gh-ltr" }, `••${card.text.replace(/^0x/i, "").slice(-4)}`),
      make("kbd", { "aria-hidden": "true" }, String(at + 1)),
    ),
  );
  const text = make("input", { class: "gh-field gh-ltr", "aria-label": "Card number", value: known.cards[0]?.text ?? "", autocomplete: "off", spellcheck: "false", inputmode: "text" });
  const notation = make(
    "select",
    { class: "gh-field", "aria-label": "Notation" },
    ...[["auto", "As written"], ["hex", "Hexadecimal"], ["decimal", "Decimal"]].map(([value, label]) => make("option", { value: value! }, label!)),
  );
  const fault = make("p", { class: "gh-fault", role: "alert" });
  const hold = (number: string, how: string, label: string): void => {
    fault.textContent = "";
    cardSeen();
    act({ act: "card", text: number, notation: how, label });
  };
  const any = make(
    "form",
    {
      class: "gh-any",
      submit: (event) => {
        event.preventDefault();
        const known_card = known.cards.find((card) => card.text === text.value);
        hold(text.value, notation.value, known_card?.label ?? "");
      },
    },
    text,
    notation,
    make("button", { type: "submit", class: "gh-act" }, icon("nfc"), "Hold"),
  );
  function holdCard(at: number): boolean {
    const card = known.cards[at];
    const button = cards[at];
    if (!card || !button) return false;
    button.classList.add("gh-on");
    setTimeout(() => button.classList.remove("gh-on"), 900);
    hold(card.text, card.notation, card.label);
    return true;
  }

  // --- codes to try ----------------------------------------------------------------------------
  const pins = known.pins.map((pin) =>
    make(
      "button",
      { type: "button", class: "gh-pin", title: `Type the code of ${[pin.label, pin.note].filter(Boolean).join(", ")}`, click: () => type(`${pin.text}#`) },
      make("span", { class: "gh-pin-who" }, make("bdi", { class: "gh-cut" }, pin.label), make("small", { class: "gh-cut" }, make("bdi", {}, pin.note))),
      make("span", { class: "gh-pin-code gh-ltr" }, pin.text),
    ),
  );

  // --- the door --------------------------------------------------------------------------------
  const says = make("span", { class: "gh-says" });
  const drawing = make("div", { class: "gh-draw", "aria-hidden": "true" });
  drawing.innerHTML =
    '<svg viewBox="0 0 72 92"><path class="gh-floor" d="M2 89h68"/><rect class="gh-dark" x="12" y="5" width="48" height="84"/>' +
    '<g class="gh-leaf"><rect x="12" y="5" width="48" height="84" rx="1"/><path d="M19 13h34v28H19zM19 49h34v32H19z"/><circle cx="53" cy="46" r="2.2"/></g>' +
    '<path class="gh-frame" d="M9 89V2h54v87"/><circle class="gh-lock" cx="36" cy="2" r="3.2"/></svg>';
  const choice = make(
    "div",
    { class: "gh-choice", role: "radiogroup", "aria-label": "Which door" },
    ...known.state.device.relays.map((one) =>
      make(
        "button",
        {
          type: "button",
          role: "radio",
          "data-relay": one.id,
          click: () => {
            chosen = one.id;
            show(seen);
          },
        },
        make("bdi", { class: "gh-cut" }, one.name),
      ),
    ),
  );
  const hand = (name: string, label: string, click: () => void): HTMLButtonElement => make("button", { type: "button", class: "gh-act", click }, icon(name), make("span", {}, label));
  const door = (what: string): void => act({ act: "door", relay: chosen, do: what });
  const push = hand("hand-stop", "Push", () => door("push"));
  const keep = hand("hand-grab", "Hold open", () => door(relay()?.kept ? "let_go" : "keep"));
  const force = hand("hammer", "Force", () => door("force"));
  const exit = hand("door-exit", "Exit button", () => act({ act: "exit", relay: chosen }));

  // --- trouble ---------------------------------------------------------------------------------
  const now = (): Seen["state"]["device"] => seen.state.device;
  const fire = hand("flame", "Fire input", () => act({ act: "fire", on: !now().fire }));
  const tamper = hand("tool", "Tamper", () => act({ act: "tamper", on: !now().tamper }));
  const motion = hand("walk", "Move by", () => act({ act: "motion" }));
  const cable = hand("plug-connected-x", "Cut cable", () => act({ act: "cable", cut: !now().cable_cut }));
  const power = hand("power", "Power off", () => act({ act: "power", on: !now().power }));
  const clock = hand("clock", "Clock +1 h", () => act({ act: "clock", skew_s: now().skew_ms ? 0 : HOUR_S }));
  fire.classList.add("gh-urgent");
  for (const button of [tamper, cable, power, clock]) button.classList.add("gh-bad");

  // --- relays ----------------------------------------------------------------------------------
  const lamps = new Map(
    known.state.device.relays.map((one) => {
      const state = make("span", { class: "gh-lamp-state" });
      const row = make(
        "li",
        { class: "gh-lamp" },
        make("i", { "aria-hidden": "true" }),
        make("span", { class: "gh-lamp-name gh-cut" }, make("small", {}, one.kind === "security" ? "SR" : `R${one.position}`), make("bdi", {}, one.name)),
        state,
      );
      return [one.id, { row, state }];
    }),
  );

  function show(next: Seen): void {
    seen = next;
    const { device } = seen.state;
    const it = relay();
    drawing.dataset["leaf"] = it?.door ?? "closed";
    drawing.dataset["lock"] = it?.released ? "open" : "shut";
    if (it?.rattled_ms !== null && it?.rattled_ms !== undefined && it.rattled_ms < 400) {
      drawing.classList.remove("gh-rattle");
      void drawing.offsetWidth; // Starts the animation anew.
      drawing.classList.add("gh-rattle");
    }
    const locked = it?.door === "closed" && it.rattled_ms !== null && it.rattled_ms < 2_500 && !it.released;
    says.textContent = locked ? "is locked" : it?.door === "closed" && it.released ? "is unlocked" : LEAVES[it?.door ?? "closed"];
    says.classList.toggle("gh-violation", it?.door === "held" || it?.door === "forced");
    for (const button of choice.querySelectorAll("button")) {
      const on = button.dataset["relay"] === chosen;
      button.setAttribute("aria-checked", String(on));
      button.tabIndex = on ? 0 : -1;
    }
    press(keep, it?.kept ?? false, "Let go", "Hold open");
    press(fire, device.fire);
    press(tamper, device.tamper);
    press(motion, device.motion);
    press(exit, device.exit);
    press(cable, device.cable_cut, "Mend cable", "Cut cable");
    press(power, !device.power, "Power on", "Power off");
    press(clock, device.skew_ms !== 0, "Clock right", "Clock +1 h");
    tick();
  }

  function tick(): void {
    for (const one of seen.state.device.relays) {
      const lamp = lamps.get(one.id);
      if (!lamp) continue;
      const rest = left(one.left_ms, seen);
      const on = one.released && (one.left_ms === null || rest > 0);
      lamp.row.classList.toggle("gh-on", on);
      lamp.row.classList.toggle("gh-odd", one.door === "held" || one.door === "forced");
      const relayed = on ? (one.left_ms === null ? "Held open" : `Released, ${Math.ceil(rest / 1_000)} s`) : "Resting";
      const said = one.door === "held" ? "Door held open" : one.door === "forced" ? "Door forced" : one.door === "open" && !on ? "Door open" : relayed;
      if (lamp.state.textContent !== said) lamp.state.textContent = said;
    }
  }

  show(seen);
  const keys = make("span", { class: "gh-hint" }, make("kbd", {}, "1"), " to ", make("kbd", {}, String(Math.max(1, cards.length))));
  return {
    elements: {
      cards: box("Hold to the reader", cards.length ? keys : null, make("div", { class: "gh-cards" }, ...cards), any, fault),
      pins: pins.length ? box("Codes to try", make("span", { class: "gh-hint" }, "pressed on the keypad for you"), make("div", { class: "gh-pins" }, ...pins)) : null,
      door: box("The door", says, ...(known.state.device.relays.length > 1 ? [choice] : []), make("div", { class: "gh-door-hands" }, drawing, push, keep, force, exit)),
      trouble: box("Trouble", null, make("div", { class: "gh-grid3" }, fire, tamper, motion, cable, power, clock)),
      relays: box("Relays", null, make("ul", { class: "gh-lamps" }, ...[...lamps.values()].map((lamp) => lamp.row))),
    },
    show,
    tick,
    holdCard,
    badCard: (reason) => {
      fault.textContent = `${reason}.`;
    },
  };
}

function press(button: HTMLButtonElement, on: boolean, label?: string, rest?: string): void {
  button.setAttribute("aria-pressed", String(on));
  const said = button.querySelector("span");
  if (said && label && rest) said.textContent = on ? label : rest;
}
