/** What the lab tells a panel; made by `lab/station.py` and `lab/pages.py`. */

export type ScreenName = "off" | "booting" | "idle" | "typing" | "asking" | "granted" | "refused" | "failed" | "waiting" | "emergency";
export type Leaf = "closed" | "open" | "held" | "forced";

export interface Relay {
  id: string;
  position: number;
  kind: "door" | "security" | "monitor";
  name: string;
  released: boolean;
  /** Milliseconds until it falls; null = resting, or until told otherwise. */
  left_ms: number | null;
  door: Leaf;
  kept: boolean;
  /** Milliseconds since somebody pushed it in vain. */
  rattled_ms: number | null;
}

export interface Heard {
  seq: number;
  kind: "passage" | "door" | "input" | "emergency" | "command" | "lost";
  at_ms: number;
  timed: boolean;
  relay: string | null;
  acked: boolean;
  method?: string;
  allowed?: boolean;
  reason?: string;
  alone?: boolean;
  decide_us?: number;
  who?: string | null;
  state?: string;
  use?: string;
  active?: boolean;
  count?: number;
}

export interface State {
  device: {
    screen: ScreenName;
    left_ms: number | null;
    typed: number;
    unit: number | null;
    released: string[];
    fire: boolean;
    tamper: boolean;
    motion: boolean;
    exit: boolean;
    power: boolean;
    cable_cut: boolean;
    skew_ms: number;
    relays: Relay[];
  };
  line: { up: boolean; claimed: boolean; rtt_ms: number | null; off_ms: number | null; note: string | null };
  wall_ms: number;
  waiting: number;
  heard: Heard[];
}

export interface Known {
  socket: string;
  name: string;
  site: string;
  zone: string;
  mac: string;
  type: string;
  native: boolean;
  language: string;
  direction: "ltr" | "rtl";
  words: Record<string, string>;
  reasons: Record<string, string>;
  methods: Record<string, string>;
  cards: { label: string; text: string; notation: string; person: string }[];
  pins: { label: string; text: string; note: string }[];
  state: State;
}

export type Act = (message: Record<string, unknown>) => void;

/** A state, and when it came (`performance.now()`), so that what is left can be counted down here. */
export interface Seen {
  state: State;
  at: number;
}

/** What is left of a time that a state gave, milliseconds. */
export function left(given: number | null, seen: Seen): number {
  return given === null ? 0 : Math.max(0, given - (performance.now() - seen.at));
}
