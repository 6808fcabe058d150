// The control bar of a running restoration: shown while the trait `live` is not empty.  It sends orders; the kernel answers by new traits.

class Live {
  constructor(explorer) {
    this.explorer = explorer;
    const order = (action) => () => this.order(action);
    const button = (action, words, title) => h("button.zvr-button", { type: "button", onclick: order(action), title }, words);
    this.buttons = {
      back: button("back", "Back", "undo the step that is shown and all after it"),
      step: button("step", "Step", "compute one step"),
      run: button("run", "Run", "compute the remaining steps"),
      pause: button("pause", "Pause", "stop after the step that is being computed"),
    };
    this.method = h("select", { "aria-label": "method of the fork", "data-own": "" });
    this.ratio = h("input.zvr-range", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": "merge ratio of the fork", "data-own": "" });
    this.ratioWords = h("span");
    this.ratio.addEventListener("input", () => write(this.ratioWords, `merge ratio ${(+this.ratio.value).toFixed(2)}`));
    this.buttons.fork = button("fork", "Fork here", "a second run from the step that is shown, with the settings beside");
    this.fork = h("span.zvr-fork", {}, this.buttons.fork, this.method, this.ratio, this.ratioWords);
    this.progress = h("progress", { "aria-label": "progress of the run" });
    this.words = h("span.zvr-status", { role: "status" });
    const { back, step, run, pause } = this.buttons;
    this.el = h("div.zvr-live", {}, back, step, run, pause, this.progress, this.words, this.fork);
  }

  order(action) {
    const { model, scene } = this.explorer;
    const ratio = this.ratio.hidden ? null : +this.ratio.value;
    model.send({ kind: "live", action, step: scene?.looks[0].step ?? 0, method: this.method.value, ratio });
  }

  // Everything as the kernel says; the settings of the fork stay as the user left them.
  update() {
    const live = this.explorer.model.get("live");
    this.el.hidden = !Object.keys(live).length;
    if (this.el.hidden) return;
    const { state, can = [], step = 0, steps = 0, seconds_left: left, status = "", methods = [], method = "", ratio = null } = live;
    this.el.dataset.state = state;
    for (const [action, button] of Object.entries(this.buttons)) {
      button.disabled = !can.includes(action);
      button.hidden = (action === "run" && state === "running") || (action === "pause" && state !== "running");
    }
    [this.progress.max, this.progress.value] = [steps || 1, step];
    write(this.words, [`${step} of ${steps} steps`, left > 0 ? `${duration(left)} left` : "", status].filter(Boolean).join(" · "));
    this.fork.hidden = !methods.length;
    if (this.method.childElementCount !== methods.length) {
      this.method.replaceChildren(...methods.map((name) => h("option", { value: name }, name)));
      this.method.value = method;
    }
    this.ratio.hidden = this.ratioWords.hidden = ratio === null;
    if (ratio !== null && !this.ratioWords.textContent) {
      this.ratio.value = ratio;
      this.ratio.dispatchEvent(new Event("input"));
    }
  }
}

function duration(seconds) {
  const whole = Math.ceil(seconds);
  return whole < 90 ? `${whole} s` : `${Math.ceil(whole / 60)} min`;
}
