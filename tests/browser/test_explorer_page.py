"""The explorer in a real browser, without JupyterLab: keys and mouse change the right pixels and words."""

from __future__ import annotations

from math import isnan
from statistics import median

import pytest
from harness import PAIR, Stamped, Wired, grey, open_widget, shown, stamp
from sample_trace import make_trace

from zvr_core.trace import open_trace

BARE = {"show": []}  # no marks over the pictures
LATENCY = """async ([key, want]) => {
  const root = document.querySelector(".zvr"), canvas = document.querySelector(".zvr-pair canvas");
  const began = performance.now();
  root.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  for (let drawn; (drawn = performance.now() - began) < 20000; ) {
    const [level] = canvas.getContext("2d").getImageData(canvas.width * 0.25, canvas.height * 0.25, 1, 1).data;
    await new Promise(requestAnimationFrame);
    if (Math.abs(level - want) <= 2) return [performance.now() - began, drawn];
  }
  return [NaN, NaN];
}"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    sites = (("down.0.0", 16), ("up.1.0", 16))
    return make_trace(tmp_path_factory.mktemp("page") / "pan", frames=3, steps=14, sites=sites, name="<b>pan</b>")


@pytest.fixture(scope="module")
def trace(path):
    return open_trace(path)


@pytest.fixture(scope="module")
def stamped(path):
    return Stamped(path)


def greys(page):
    """Of the source frame and of the key frame."""
    return grey(page, PAIR, 0.25, 0.25), grey(page, PAIR, 0.75, 0.25)


def expect_step(page, trace, step, frame=0):
    shown(page, step)
    key = int(trace.key[frame])
    assert greys(page) == pytest.approx((stamp(step, frame), stamp(step, key)), abs=2)
    slider = page.get_by_label("step", exact=True)
    assert slider.get_attribute("aria-valuetext").startswith(f"step {step} of 14")


def test_keys_walk_through_the_steps_and_the_right_pictures_show(page, stamped):
    open_widget(page, Wired(stamped, step=0, **BARE))
    expect_step(page, stamped, 0)
    for key, step in {"ArrowRight": 1, "Shift+ArrowRight": 6, "ArrowLeft": 5, "End": 13, "Shift+ArrowLeft": 8, "Home": 0}.items():
        page.keyboard.press(key)
        expect_step(page, stamped, step)


def test_frames_change_source_and_key_frame(page, stamped):
    open_widget(page, Wired(stamped, step=3, frame=0, **BARE))
    expect_step(page, stamped, 3, 0)
    page.keyboard.press("Shift+ArrowDown")
    page.wait_for_function("document.querySelector('.zvr-captions').textContent.includes('frame 2')")
    assert greys(page)[0] == pytest.approx(stamp(3, 2), abs=2)


def test_what_was_preloaded_shows_within_a_frame_and_the_rest_soon(page, stamped):
    for name, budget in (("preloaded", 16 << 20), ("fetched", 0)):
        pairs = []
        context = page.context.browser.new_page(viewport={"width": 1280, "height": 900})
        open_widget(context, Wired(stamped, step=0, frame=0, budget=budget, **BARE))
        shown(context, 0)
        for step in range(1, 14):
            pairs.append(context.evaluate(LATENCY, ["ArrowRight", stamp(step, 0)]))
        context.close()
        times, drawn = zip(*pairs, strict=True)
        assert not any(map(isnan, times))
        print(f"key press to screen, {name}: median {median(times):.1f} ms of {len(times)}, {min(times):.0f} to {max(times):.0f}")
        print(f"  begun to draw, before the screen's next frame: median {median(drawn):.1f} ms")


def test_the_newest_request_wins(page, stamped):
    open_widget(page, Wired(stamped, step=0, frame=0, budget=0, **BARE), delay=250)
    shown(page, 0)
    page.wait_for_timeout(1500)
    page.evaluate("window.sent = []")
    for _ in range(2):
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("End")
    expect_step(page, stamped, 13)
    asked = page.evaluate("window.sent.filter(({ keys }) => keys).flatMap(({ keys }) => keys)")
    assert any("preview/13/" in name for name in asked)
    assert len([name for name in asked if name.endswith("/0") and "/preview/" in name]) < 14


def test_names_are_text_and_never_markup(page, trace):
    open_widget(page, Wired(trace))
    assert page.locator(".zvr-title strong").inner_text() == "<b>pan</b>"
    assert page.locator(".zvr-title b").count() == 0


def test_a_click_chooses_a_token_and_the_line_says_its_numbers(page, trace):
    widget = Wired(trace, step=1, site="up.1.0")
    open_widget(page, widget)
    shown(page, 1)
    box = page.locator(PAIR).bounding_box()
    page.mouse.click(box["x"] + 0.125 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.move(0, 0)
    line = page.locator(".zvr-line")
    page.wait_for_function("document.querySelector('.zvr-line').textContent.includes('token 26')")  # 8 × 6 tokens, 16 px each
    target = trace.target(1, "up.1.0", 0, "cosine")[26]
    assert f"cosine to {target % 8},{target // 8}" in line.inner_text()
    assert "truly at" in line.inner_text() or "hidden" in line.inner_text()
    page.wait_for_timeout(300)
    assert widget.told[-1]["token"] == 26


def test_hovering_shows_a_token_and_leaves_the_chosen_one(page, trace):
    widget = Wired(trace, step=1, site="up.1.0", token=3)
    open_widget(page, widget)
    shown(page, 1)
    box = page.locator(PAIR).bounding_box()
    page.mouse.move(box["x"] + 0.125 * box["width"], box["y"] + 0.5 * box["height"])
    page.wait_for_function("document.querySelector('.zvr-line').textContent.includes('token 26')")
    page.mouse.move(0, 0)
    page.wait_for_function("document.querySelector('.zvr-line').textContent.includes('token 3 ')")


def test_comma_and_full_stop_go_through_the_tokens_by_disagreement(page, trace):
    open_widget(page, Wired(trace, step=0, site="up.1.0"))
    shown(page, 0)
    apart = page.evaluate("[...document.querySelector('.zvr-line').textContent.matchAll(/([0-9.]+) tokens apart/g)].map((m) => +m[1])")
    page.keyboard.press(".")
    page.wait_for_timeout(100)
    after = page.evaluate("[...document.querySelector('.zvr-line').textContent.matchAll(/([0-9.]+) tokens apart/g)].map((m) => +m[1])")
    assert after[0] <= apart[0]


def test_marks_maps_and_the_threshold_change_the_picture(page, trace):
    open_widget(page, Wired(trace, step=0, site="up.1.0"))
    shown(page, 0)
    pixels = f"() => document.querySelector('{PAIR}').toDataURL()"
    seen = [page.evaluate(pixels)]
    for act in (
        lambda: page.get_by_role("button", name="lines").click(),
        lambda: page.get_by_label("map over the source frame").select_option("apart"),
        lambda: page.get_by_label("least disagreement").fill("100"),
        lambda: page.get_by_role("button", name="true place").click(),
    ):
        act()
        page.wait_for_timeout(120)
        seen.append(page.evaluate(pixels))
    assert len(set(seen)) == len(seen)


def test_a_click_on_a_site_shows_it_at_the_same_place(page, tmp_path):
    trace = open_trace(make_trace(tmp_path / "two", frames=2, steps=3, sites=(("up.1.0", 16), ("down.0.0", 8))))
    widget = Wired(trace, step=2, site="up.1.0", token=9)
    open_widget(page, widget)
    shown(page, 2)
    page.get_by_role("option", name="down.0.0").click()
    page.wait_for_function("document.querySelector('.zvr-line').textContent.includes('down.0.0')")
    assert page.get_by_role("option", name="down.0.0").get_attribute("aria-selected") == "true"
    assert "token 51 at 3,3" in page.locator(".zvr-line").inner_text()  # (1, 1) of 8 × 6 is in the middle of (2 … 3, 2 … 3) of 16 × 12


def test_the_state_restores_the_view(page, trace):
    widget = Wired(trace)
    open_widget(page, widget)
    shown(page, 7)
    page.keyboard.press("End")
    page.keyboard.press(".")
    page.wait_for_timeout(400)
    first, state = page.locator(PAIR).screenshot(), widget.told[-1]
    other = page.context.browser.new_page(viewport={"width": 1280, "height": 1000})
    open_widget(other, Wired(trace, **state))
    shown(other, 13)
    other.wait_for_timeout(500)
    assert other.locator(PAIR).screenshot() == first
    other.close()


def test_space_plays_and_question_mark_helps(page, trace):
    open_widget(page, Wired(trace, step=0))
    shown(page, 0)
    page.keyboard.press(" ")
    shown(page, 2)
    page.keyboard.press(" ")
    assert page.get_by_role("button", name="play").count() == 1
    page.keyboard.press("?")
    assert page.locator(".zvr-help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator(".zvr-help").is_visible()


def test_no_key_leaves_the_explorer_except_to_save(page, trace):
    open_widget(page, Wired(trace, step=0))
    page.evaluate("window.out = []; document.addEventListener('keydown', (event) => window.out.push(event.key))")
    for key in ("b", "a", "x", "ArrowDown", "Escape", "Shift+Enter", "Control+s"):
        page.keyboard.press(key)
    assert page.evaluate("window.out.filter((key) => key !== 'Control')") == ["s"]


def test_two_runs_show_steps_of_equal_noise(page, stamped, tmp_path):
    short = Stamped(make_trace(tmp_path / "short", frames=3, steps=5, sites=(("up.1.0", 16),), method_name="per_frame"))
    open_widget(page, Wired(stamped, short, step=0, **BARE))
    pairs = dict(stamped.compare(short))
    for key, step in (("End", 13), ("ArrowLeft", 12)):
        page.keyboard.press(key)
        shown(page, step)
        assert grey(page, PAIR, 0.2, 0.25) == pytest.approx(stamp(step, 0), abs=2)
        assert grey(page, PAIR, 0.2, 0.75) == pytest.approx(stamp(pairs[step], 0), abs=2)
    assert "diffir2vr against per_frame" in page.locator(".zvr-title").inner_text()


def test_the_control_bar_shows_for_a_run_only_and_sends_orders(page, trace):
    open_widget(page, Wired(trace, step=2))
    shown(page, 2)
    assert not page.locator(".zvr-live").is_visible()
    live = {"state": "paused", "step": 3, "steps": 9, "seconds_left": 100, "status": "", "can": ["step", "fork"], "methods": ["a", "b"]}
    page.evaluate("live => model.set('live', live)", {**live, "method": "b", "ratio": 0.6})
    assert "3 of 9 steps · 2 min left" in page.locator(".zvr-status").inner_text()
    assert page.get_by_role("button", name="Back").is_disabled()
    page.evaluate("window.sent = []")
    page.get_by_role("button", name="Step").click()
    page.get_by_label("method of the fork").select_option("a")
    page.get_by_role("button", name="Fork here").click()
    sent = [message for message in page.evaluate("window.sent") if message["kind"] == "live"]
    assert sent == [
        {"kind": "live", "action": "step", "step": 2, "method": "b", "ratio": 0.6},
        {"kind": "live", "action": "fork", "step": 2, "method": "a", "ratio": 0.6},
    ]
    page.evaluate("live => model.set('live', live)", {**live, "state": "failed", "status": "NaN in <i>step 4</i>"})
    assert "NaN in <i>step 4</i>" in page.locator(".zvr-status").inner_text()


def test_a_step_that_a_run_adds_is_followed(page, tmp_path):
    path = make_trace(tmp_path / "growing", frames=2, steps=5, sites=(("up.1.0", 16),), stop_after=2)
    widget = Wired(open_trace(path), step=1)
    widget.live = {"state": "running", "step": 2, "steps": 5, "can": [], "follow": True}
    open_widget(page, widget)
    shown(page, 1)
    make_trace(tmp_path / "more", frames=2, steps=5, sites=(("up.1.0", 16),), stop_after=4)
    widget.traces = (open_trace(tmp_path / "more"),)
    widget.refresh()
    page.evaluate("head => model.set('head', head)", widget.head)
    shown(page, 3)


def test_dark_and_light_follow_the_reader_and_the_theme(page, trace):
    page.emulate_media(color_scheme="dark")
    open_widget(page, Wired(trace))
    background = "getComputedStyle(document.querySelector('.zvr')).backgroundColor"
    assert page.evaluate(background) == "rgb(24, 24, 27)"
    page.evaluate("document.documentElement.style.setProperty('--jp-layout-color0', 'rgb(1, 2, 3)')")
    assert page.evaluate(background) == "rgb(1, 2, 3)"


def test_it_is_drawn_again_at_another_size_and_closes_without_trace(page, trace):
    open_widget(page, Wired(trace))
    shown(page, 7)
    wide = page.evaluate(f"document.querySelector('{PAIR}').width")
    page.set_viewport_size({"width": 640, "height": 900})
    page.wait_for_function(f"document.querySelector('{PAIR}').width < {wide}")
    page.evaluate("window.close()")
    assert page.locator(".zvr").count() == 0
