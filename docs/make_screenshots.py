"""Runs the demo and photographs the first screen of its report with Chromium, as the README shows it.

Its arguments go on to the demo, such as --time 3m on a busy machine.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PAGE = Path(__file__).with_name("report.png")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SIZE, COLOURS, SEED = (1280, 860), 128, 1


def main() -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit(f"no browser found; install one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory(prefix="tame-screenshots-") as folder:
        demo = [str(Path(sys.executable).with_name("tame")), "demo", "--seed", str(SEED), "--no-browser"]
        subprocess.run([*demo, "--out", "runs/demo", *sys.argv[1:]], cwd=folder, check=True)
        shot, page = Path(folder) / "shot.png", Path(folder) / "runs" / "demo" / "report.html"
        # Commands name the data by its whole path; the picture shows it as a reader who stands in the folder writes it.
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(f"{Path(folder).resolve()}/", ""), encoding="utf-8")
        own = ["--headless", "--disable-gpu", "--hide-scrollbars", "--no-sandbox", f"--user-data-dir={folder}/browser"]
        size = f"--window-size={SIZE[0]},{SIZE[1]}"
        subprocess.run([browser, *own, size, f"--screenshot={shot}", page.as_uri()], check=True, capture_output=True)
        with Image.open(shot) as image:
            image.convert("RGB").quantize(COLOURS).save(PAGE, optimize=True)
    print(f"{PAGE}: {PAGE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
