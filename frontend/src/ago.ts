/** `<time data-gh-ago datetime="...">` shows how long ago it is, in the page's language, and stays true. */
import { findAll } from "./dom";

const steps: [seconds: number, unit: Intl.RelativeTimeFormatUnit][] = [
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
  [1, "second"],
];

/** Writes all of them anew. */
export function writeAgo(): void {
  const format = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { numeric: "auto", style: "short" });
  for (const time of findAll(HTMLTimeElement, "time[data-gh-ago]")) {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    const seconds = Math.min(0, Math.round((at - Date.now()) / 1_000));
    const [size, unit] = steps.find(([size]) => -seconds >= size) ?? [1, "second"];
    const text = format.format(Math.ceil(seconds / size), unit);
    if (time.textContent !== text) time.textContent = text;
    time.title ||= new Date(at).toLocaleString(document.documentElement.lang || undefined);
  }
}
