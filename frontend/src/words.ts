/** Words that islands say by themselves. The page overrides them in its language: <script type="application/json" id="gh-words">. */
const english = {
  "hold.rest": "Hold to open",
  "hold.holding": "Keep holding",
  "hold.short": "Hold a little longer",
  "hold.confirm": "Tap again to open",
  "hold.sent": "Asking the door",
  "hold.opened": "Open",
  "hold.opened_seconds": "Open, {seconds} s",
  "hold.refused": "Refused",
  "hold.failed": "No answer from the door",
  "live.new": "{count} new",
  "live.lost": "Connection lost. What you see is from {time}.",
  "live.back": "Connected again",
  "toast.dismiss": "Dismiss",
  "error.network": "Gatehouse does not answer. Nothing was changed.",
  "error.server": "Something went wrong on the server. Nothing was changed.",
  "error.denied": "You may not do this.",
};

export type Word = keyof typeof english;

let given: Partial<Record<string, string>> | undefined;

/** The sentence for a key, with {name} places filled; numbers in the digits of the page's language. */
export function word(key: Word, places: Record<string, string | number> = {}): string {
  given ??= read();
  const language = document.documentElement.lang || "en";
  const text = given[key] ?? english[key];
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = places[name];
    return value === undefined ? whole : typeof value === "number" ? value.toLocaleString(language) : value;
  });
}

function read(): Partial<Record<string, string>> {
  const text = document.getElementById("gh-words")?.textContent;
  return text ? (JSON.parse(text) as Partial<Record<string, string>>) : {};
}
