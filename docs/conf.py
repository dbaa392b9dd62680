"""How the pages look. `make docs` builds them (docs/make_site.py)."""

from __future__ import annotations

from tame import __version__

project = "TAME"
author = "the authors of TAME"
project_copyright = author
version = release = __version__
html_title = f"TAME {__version__}"

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3  # so that a link may name a heading, as on the pages of a repository
smartquotes = False  # what is typed in a command stays as it is typed
nitpicky = False  # types of other projects are named, not linked: the build works without a network
python_maximum_signature_line_length = 88
highlight_language = "none"
html_theme = "pydata_sphinx_theme"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "TAME"},
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "default",
    "pygments_dark_style": "monokai",
}
html_static_path = ["site.css"]
html_css_files = ["site.css"]
