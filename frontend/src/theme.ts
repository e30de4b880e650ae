/** Runs before the first paint, so that no page flashes in the other theme. A page may fix its own with `data-gh-theme-fixed`. */
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

function kept(): string | null {
  try {
    return localStorage.getItem("gh-theme");
  } catch {
    return null; // A private window may refuse; the system's theme is as good.
  }
}

function apply(): void {
  if (root.hasAttribute("data-gh-theme-fixed")) return;
  const choice = kept();
  root.dataset["bsTheme"] = choice === "dark" || choice === "light" ? choice : system.matches ? "dark" : "light";
}

apply();
system.addEventListener("change", apply);
addEventListener("storage", (event) => {
  if (event.key === "gh-theme") apply();
});
