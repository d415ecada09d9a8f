// Not a module: it runs before the first paint, so that a chosen theme does not flash.
try {
  document.documentElement.dataset.theme = localStorage.getItem("ssmd-theme") ?? "auto";
} catch {
  document.documentElement.dataset.theme = "auto";
}
