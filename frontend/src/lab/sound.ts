/** The device's voice: short tones, made here. Silent until the first touch, as browsers want it. */

let context: AudioContext | undefined;
let on = kept();
let siren: { oscillator: OscillatorNode; gain: GainNode } | undefined;

function kept(): boolean {
  try {
    return localStorage.getItem("gh-lab-sound") !== "off";
  } catch {
    return true;
  }
}

/** Whether the device may be heard. */
export function soundOn(): boolean {
  return on;
}

/** Switches it, and keeps the choice on this device. */
export function switchSound(): boolean {
  on = !on;
  try {
    localStorage.setItem("gh-lab-sound", on ? "on" : "off");
  } catch {
    // A private window may refuse; then it lasts as long as the page.
  }
  if (!on) silence();
  return on;
}

/** Called at a touch: browsers let a page sound only after one. */
export function wakeSound(): void {
  if (!on) return;
  context ??= new AudioContext();
  if (context.state === "suspended") void context.resume();
}

function tone(hertz: number, ms: number, after = 0, volume = 0.09): void {
  if (!on || document.hidden || context?.state !== "running") return;
  const start = context.currentTime + after / 1_000;
  const end = start + ms / 1_000;
  const oscillator = new OscillatorNode(context, { frequency: hertz, type: "sine" });
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(volume, start + 0.004);
  gain.gain.setValueAtTime(volume, Math.max(start + 0.004, end - 0.012));
  gain.gain.linearRampToValueAtTime(0, end);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(start);
  oscillator.stop(end + 0.02);
}

/** A key was pressed. */
export function keySound(): void {
  tone(1_200, 22);
}

/** A card was seen. */
export function cardSound(): void {
  tone(1_760, 60, 0, 0.05);
}

/** The answer, once. */
export function answerSound(granted: boolean): void {
  if (granted) {
    tone(660, 90);
    tone(880, 140, 100);
  } else tone(220, 160, 0, 0.14);
}

/** The emergency sweep, from now on. */
export function alarm(): void {
  if (siren || !on || context?.state !== "running") return;
  const oscillator = new OscillatorNode(context, { frequency: 500, type: "triangle" });
  const sweep = new OscillatorNode(context, { frequency: 0.5, type: "sawtooth" });
  const width = new GainNode(context, { gain: 350 });
  const gain = new GainNode(context, { gain: 0.035 });
  oscillator.frequency.value = 850;
  sweep.connect(width).connect(oscillator.frequency);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start();
  sweep.start();
  siren = { oscillator, gain };
}

/** Ends it. */
export function silence(): void {
  siren?.oscillator.stop();
  siren?.gain.disconnect();
  siren = undefined;
}
