"""A real Chromium for looking at pages: its size, light, dark and paper, and what it has to complain about."""

import base64
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"


class Browser:
    """A Chromium without a window. `driver` is Selenium's."""

    def __init__(self) -> None:
        webdriver = pytest.importorskip(
            "selenium.webdriver", reason="selenium is not installed; `make test-browser` installs it"
        )
        from selenium.webdriver.chrome.service import Service

        found, driver = next(filter(None, map(shutil.which, BROWSERS)), None), shutil.which(DRIVER)
        if found is None or driver is None:
            pytest.skip(f"no {' or '.join(BROWSERS)} with {DRIVER} on PATH; install them from your system's packages")
        options = webdriver.ChromeOptions()
        options.binary_location = found
        for argument in ("--headless=new", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"):
            options.add_argument(argument)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # Chromium refuses to run as root with one
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(driver))

    def open(self, page: Path, *, width: int = 1280, scheme: str = "light", media: str = "") -> None:
        """Show a page; scheme: `light` or `dark`; media: `print` for paper."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        self.driver.get_log("browser")  # what an earlier page said
        self.driver.get(page.resolve().as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page; a promise is waited for."""
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """What the page wrote to the console, the page's own policy refusing something among it."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def press(self, key: str) -> None:
        """Press a key wherever the focus is."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(key).perform()

    def picture(self, width: int, height: int | None = None) -> bytes:
        """The page as PNG, from its top: `height` pixels of it, or all."""
        tall = height or self.run("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": tall, "scale": 1}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        return base64.b64decode(shot["data"])

    def close(self) -> None:
        """Close it."""
        self.driver.quit()
