/* What the sliders of `explore` lack: names and values for screen readers, and arrow keys.
 *
 * ipywidgets gives a slider's handle no name, tells its value as a place in the list ("12.0"), and
 * a picture no alt text. Notebook 7 takes the arrow keys from a slider for its own commands.
 * A function of the class of the sliders' box and of the sentence of the still pictures.
 */
(own, sentence) => {
  const HANDLE = ".noUi-handle, .ui-slider-handle"; // of ipywidgets 8 and 7
  const dress = (box) => {
    const now = [...box.querySelectorAll(".widget-slider")].map((slider) => {
      const name = slider.querySelector(".widget-label").textContent;
      const value = slider.querySelector(".widget-readout").textContent;
      const handle = slider.querySelector(HANDLE);
      handle.setAttribute("role", "slider");
      if (handle.getAttribute("aria-valuetext") !== value) handle.setAttribute("aria-valuetext", value);
      if (!handle.hasAttribute("aria-label")) {
        handle.setAttribute("aria-label", name);
        slider.addEventListener("keydown", (event) => event.stopPropagation());
      }
      return `${name} ${value}`;
    });
    box.querySelector("img").alt = `With ${now.join(" and ")}. The still pictures: ${sentence}`;
  };
  const find = () => {
    const box = document.querySelector(`.${own}`);
    if (!box?.querySelector(HANDLE) || !box.querySelector("img")) return false;
    dress(box);
    const changes = { subtree: true, childList: true, attributeFilter: ["aria-valuetext"] };
    new MutationObserver(() => dress(box)).observe(box, changes);
    return true;
  };
  if (find()) return;
  const waiting = new MutationObserver(() => find() && waiting.disconnect());
  waiting.observe(document.body, { subtree: true, childList: true });
}
