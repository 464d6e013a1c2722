// Moves the bar of each report that is not finished. Without this script, its link "Refresh" does.
const EVERY = 1000; // milliseconds

for (const report of document.querySelectorAll("[data-status]")) {
  report.querySelector(".refresh").hidden = true;
  follow(report);
}

async function follow(report) {
  let pause = EVERY;
  try {
    const response = await fetch(report.dataset.status);
    if (response.ok) {
      const { state, progress, download } = await response.json();
      report.querySelector("progress").value = progress;
      const said = report.querySelector("[role=status]");
      if (said.textContent !== state) said.textContent = state; // a screen reader says what changes
      report.querySelector(".download").hidden = !download;
      if (state === "done" || state === "failed") return;
    } else if (response.status === 404) {
      return; // it has expired
    } else {
      pause *= 5; // too many requests, or the site is not well
    }
  } catch {
    pause *= 5; // no network
  }
  setTimeout(follow, pause, report);
}
