"""The playground in chromium: mouse, keys, touch, and pixels that are the model's."""

import re
from pathlib import Path

import pytest
from playground_page import STATE, assert_pictures_are_right, settle

from caufvae_lite.studies import core

ROOT = Path(__file__).parents[2]
ONE_FILE = (ROOT / "build" / "site" / "html" / "playground.html").as_uri()


def ready(page):
    page.wait_for_selector(".pg-ready")
    page.wait_for_timeout(300)
    return page


def test_dragging_the_lamp_moves_the_shadow_and_not_the_rod(open_page, site, screenshot):
    page = ready(open_page(f"{site}/index.html"))
    before = page.evaluate(STATE)["answer"]["model"]
    frame = page.locator(".pg-held").first.bounding_box()
    lamp = page.locator(".pg-handle").nth(1).bounding_box()
    page.mouse.move(lamp["x"] + 10, lamp["y"] + 10)
    page.mouse.down()
    page.mouse.move(frame["x"] + 0.12 * frame["width"], frame["y"] + 10, steps=6)
    page.mouse.up()
    settle(page)
    after = page.evaluate(STATE)
    assert list(after["set"]) == ["1"] and after["set"]["1"] > 115
    assert after["answer"]["model"][0] == before[0]
    assert abs(after["answer"]["model"][3] - before[3]) > 2
    states = page.locator(".pg-state").all_inner_texts()
    assert [re.sub(r"\W", "", s) for s in states] == ["stayed", "set", "followed", "followed"]
    assert_pictures_are_right(page, "pendulum-noisy")
    screenshot(page, "playground-dragged")


def test_the_noise_is_kept_in_imagining_and_drawn_anew_in_doing(open_page):
    page = ready(open_page(ONE_FILE))
    page.get_by_role("slider", name="light angle").press("Home")
    settle(page)
    kept = page.locator(".pg-noise").all_inner_texts()
    page.get_by_text("Doing", exact=True).click()
    settle(page)
    anew = page.locator(".pg-noise").all_inner_texts()
    assert kept[0] == anew[0] and "kept" in kept[2] and "not used" in kept[1]
    assert "drawn anew" in anew[2] and anew[2].split(",")[0] != kept[2].split(",")[0]
    page.get_by_role("button", name="Draw again").click()
    settle(page)
    assert page.locator(".pg-noise").all_inner_texts()[2] != anew[2]
    page.get_by_text("Seeing", exact=True).click()
    settle(page)
    assert "fit" in page.locator(".pg-pictures figcaption").first.inner_text()
    seen = page.evaluate(STATE)["answer"]
    assert abs(seen["model"][1] - 54) < 5 and abs(seen["truth"][1] - 54) < 5


@pytest.mark.parametrize("name", core.SHIPPED)
def test_sliders_answer_to_keys_and_say_value_and_unit(name, open_page):
    page = ready(open_page(ONE_FILE))
    page.get_by_label("World").select_option(name)
    page.wait_for_function(f"caufvae.playgrounds[0].data.name === '{name}'")
    world = core.world_of(name)
    for i, factor in enumerate(world.graph.nodes[:2]):
        slider = page.get_by_role("slider", name=factor.replace("_", " "), exact=True)
        slider.focus()
        for key in ("Home", "PageUp", "ArrowRight", "ArrowUp"):
            slider.press(key)
        settle(page)
        text = slider.get_attribute("aria-valuetext")
        value = page.evaluate(STATE)["set"][str(i)]
        assert text.startswith(f"{value:.1f} ") and text.endswith(", set")
        assert ("degrees" in text) == (world.units[factor] == "°")
        assert_pictures_are_right(page, name)
    page.wait_for_function("document.querySelector('.pg-live').textContent.startsWith('With ')")


def test_a_finger_on_a_phone(open_page, site, screenshot):
    phone = {"viewport": {"width": 400, "height": 800}, "has_touch": True, "is_mobile": True}
    page = ready(open_page(f"{site}/index.html", **phone))
    page.locator(".playground").scroll_into_view_if_needed()
    ball = page.locator(".pg-handle").first.bounding_box()
    page.touchscreen.tap(ball["x"] + 14, ball["y"] + 10)
    settle(page)
    assert "0" in page.evaluate(STATE)["set"]
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) <= 400, "the page must not scroll sideways"
    screenshot(page, "phone")


def test_playing_moves_the_scene_until_paused(open_page):
    page = ready(open_page(ONE_FILE))
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(400)
    first = page.evaluate(STATE)["set"]["1"]
    page.wait_for_timeout(400)
    assert page.evaluate(STATE)["set"]["1"] != first
    page.get_by_role("button", name="Pause").click()
    settle(page)
    assert_pictures_are_right(page, "pendulum-noisy")


def test_it_starts_by_itself_unless_motion_is_unwelcome(open_page):
    still = ready(open_page(ONE_FILE))
    assert not still.evaluate(STATE)["set"]
    moving = ready(open_page(ONE_FILE, reduced_motion="no-preference"))
    assert moving.evaluate(STATE)["set"]


def test_without_javascript_a_strip_says_the_same(open_page, site, screenshot):
    page = open_page(f"{site}/index.html", java_script_enabled=False)
    strip = page.locator(".pg-still img")
    assert strip.is_visible() and len(strip.get_attribute("alt").split()) > 20
    screenshot(page, "without-javascript")
