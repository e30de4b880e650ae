/** What the cloud heard: what the device recorded, and whether it has arrived. Codes that were typed are not in it. */
import { icon, make, setIcon } from "../dom";
import type { Heard, Known, State } from "./types";

const INPUTS: Record<string, [on: string, off: string]> = {
  exit: ["Exit button pressed", "Exit button let go"],
  fire: ["Fire input closed", "Fire input open again"],
  tamper: ["Housing opened", "Housing shut again"],
  motion: ["Somebody moves", "Nobody moves any more"],
};
const DOORS: Record<string, string> = { open: "opened", closed: "shut", held: "held open", forced: "forced open" };
const EMERGENCY: Record<string, string> = { raised: "Emergency raised here", opened: "opened for the emergency", released: "back after the emergency", failed: "did not open" };
const COMMANDS: Record<string, string> = { done: "Order from the portal done", failed: "Order from the portal failed", refused: "Order from the portal refused" };

interface Line {
  mark: string;
  tone: string;
  title: string;
  text: string;
}

export interface FeedView {
  element: HTMLElement;
  show: (state: State) => void;
}

/** Builds the box. */
export function feed(known: Known): FeedView {
  const rows = new Map<number, { row: HTMLElement; sent: SVGElement; said: HTMLElement }>();
  const list = make("ul", {});
  const head = make("span", { class: "gh-hint" });
  const waiting = make("p", { class: "gh-waiting", role: "status" });
  const empty = make("p", { class: "gh-none" }, "Nothing yet. Type a code or hold a card.");
  const element = make("section", { class: "gh-box gh-feed" }, make("h3", {}, known.native ? "What the cloud heard" : "What its gateway heard", head), waiting, empty, list);
  const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: known.zone });
  const names = new Map(known.state.device.relays.map((relay) => [relay.id, relay.name]));

  const has = (event: Heard): string => (event.acked ? `The ${known.native ? "cloud" : "gateway"} has it` : "Waits for the line");

  function line(event: Heard): Line {
    const door = event.relay === null ? known.name : (names.get(event.relay) ?? "An unknown door");
    switch (event.kind) {
      case "passage": {
        const method = known.methods[event.method ?? ""] ?? event.method ?? "";
        const who = event.who ? `${event.who}, ${method.toLowerCase()}` : method;
        const took = event.decide_us ? `decided at the door in ${(event.decide_us / 1_000).toLocaleString("en", { maximumFractionDigits: 1 })} ms` : "";
        const alone = event.alone ? "without the cloud" : "";
        if (event.allowed) return { mark: "check", tone: "granted", title: who, text: [`${door} released`, [took, alone].filter(Boolean).join(", ")].filter(Boolean).join(" · ") };
        return { mark: "x", tone: "refused", title: `${who}, refused`, text: [known.reasons[event.reason ?? ""] ?? event.reason ?? "The portal's log says why", alone].filter(Boolean).join(" · ") };
      }
      case "door": {
        const odd = event.state === "held" || event.state === "forced";
        return { mark: odd ? "alert-triangle" : "door", tone: odd ? "violation" : "", title: `${door} ${DOORS[event.state ?? ""] ?? event.state}`, text: "" };
      }
      case "input": {
        const [on, off] = INPUTS[event.use ?? ""] ?? [event.use ?? "", event.use ?? ""];
        const mark = { fire: "flame", tamper: "tool", motion: "walk", exit: "door-exit" }[event.use ?? ""] ?? "info-circle";
        return { mark, tone: event.active && event.use === "fire" ? "urgent" : event.active && event.use === "tamper" ? "violation" : "", title: event.active ? on : off, text: "" };
      }
      case "emergency": {
        const said = EMERGENCY[event.state ?? ""] ?? event.state ?? "";
        return { mark: "flame", tone: event.state === "released" ? "" : "urgent", title: event.state === "raised" ? said : `${door} ${said}`, text: "" };
      }
      case "command":
        return { mark: event.state === "done" ? "circle-check" : "circle-x", tone: event.state === "done" ? "granted" : "refused", title: COMMANDS[event.state ?? ""] ?? "", text: event.state === "done" ? "" : (known.reasons[event.reason ?? ""] ?? event.reason ?? "") };
      case "lost":
        return { mark: "alert-triangle", tone: "violation", title: `${event.count} events lost`, text: "The disk was full; the cloud is told" };
    }
  }

  function add(event: Heard): void {
    const { mark, tone, title, text } = line(event);
    const sent = icon("cloud-check", "gh-sent");
    const said = make("span", { class: "gh-vh" });
    const row = make(
      "li",
      {},
      icon(mark, tone ? `gh-${tone}` : "gh-mut"),
      make("b", {}, make("bdi", {}, title)),
      make(
        "span",
        { class: "gh-arrived" },
        make("time", { datetime: new Date(event.at_ms).toISOString(), title: event.timed ? null : "By the device's own clock" }, clock.format(event.at_ms)),
        sent,
        said,
      ),
      make("p", {}, text),
    );
    rows.set(event.seq, { row, sent, said });
    list.prepend(row);
  }

  function show(state: State): void {
    const there = new Set(state.heard.map((event) => event.seq));
    for (const [seq, { row }] of rows)
      if (!there.has(seq)) {
        row.remove();
        rows.delete(seq);
      }
    for (const event of [...state.heard].reverse()) {
      if (!rows.has(event.seq)) add(event);
      const { row, sent, said } = rows.get(event.seq)!;
      if (row.dataset["acked"] === String(event.acked)) continue;
      row.dataset["acked"] = String(event.acked);
      setIcon(sent, event.acked ? "cloud-check" : "hourglass");
      sent.parentElement!.title = has(event);
      said.textContent = has(event);
    }
    empty.hidden = state.heard.length > 0;
    const cut = !state.line.up || state.device.cable_cut;
    waiting.textContent = state.waiting && cut ? `${state.waiting} waiting for the line` : "";
    waiting.hidden = !waiting.textContent;
    head.textContent = cut ? "no line" : "live";
  }

  show(known.state);
  return { element, show };
}
