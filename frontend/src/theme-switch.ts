/** Buttons `[data-gh-theme]`: light or dark, kept on this device. */
export function themeSwitch(): void {
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("[data-gh-theme]")) return;
    const next = document.documentElement.dataset["bsTheme"] === "dark" ? "light" : "dark";
    document.documentElement.dataset["bsTheme"] = next;
    try {
      localStorage.setItem("gh-theme", next);
    } catch {
      // A private window may refuse: then the choice lasts as long as the page.
    }
  });
}
