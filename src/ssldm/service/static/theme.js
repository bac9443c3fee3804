// Light or dark: as the system has it, until the reader chooses.

const KEY = "ssldm-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** Whether the page is dark. */
export const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

/**
 * Take the stored choice, and let a button change it.
 * @param {HTMLElement} button
 * @param {(dark: boolean) => void} onChange
 */
export function startTheme(button, onChange) {
  const choice = stored();
  if (choice === "dark" || choice === "light") document.documentElement.dataset.theme = choice;
  const tell = () => {
    button.setAttribute("aria-pressed", String(isDark()));
    onChange(isDark());
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem(KEY, document.documentElement.dataset.theme);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
    tell();
  });
  system.addEventListener("change", tell);
  tell();
}
