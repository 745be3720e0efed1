// Filters the sampled pages; without it the page is whole, only longer to read.
(() => {
  const tools = document.querySelector(".tools");
  if (!tools) return;
  const pages = [...document.querySelectorAll(".page")];
  const buttons = [...tools.querySelectorAll("button")];
  const search = tools.querySelector("input");
  const nothing = document.querySelector(".nothing");
  let status = "";
  const show = () => {
    const query = search.value.trim().toLowerCase();
    let shown = 0;
    for (const page of pages) {
      const address = page.querySelector(".url").textContent.toLowerCase();
      page.hidden = (status && page.dataset.status !== status) || !address.includes(query);
      shown += !page.hidden;
    }
    nothing.hidden = shown > 0;
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      status = button.dataset.status;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      show();
    });
  }
  search.addEventListener("input", show);
  tools.hidden = false;
})();
