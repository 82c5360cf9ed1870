"""Site — the pages as a site: Sphinx with settings from here, and no file of settings."""
import io
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

from scratchnet.book import pages
from scratchnet.book.pages import Tell

MADE = "objects.inv"            # by Sphinx: a folder with this file is a site that was built

SETTINGS = {
    "project": "scratchnet",
    "language": "en",
    "extensions": ["myst_nb", "scratchnet.book.mathml"],
    "exclude_patterns": ["notebooks"],
    "html_theme": "furo",
    "html_title": "scratchnet",
    "html_theme_options": {"navigation_with_keys": True, "top_of_page_buttons": []},
    "html_css_files": ["book.css"],
    "html_math_renderer": "mathml",
    "html_copy_source": False,
    "html_show_sourcelink": False,
    "html_show_sphinx": False,
    "html_show_copyright": False,
    "html_show_search_summary": False,      # would be fetched, which a folder does not allow
    "html_use_index": False,
    "myst_enable_extensions": ["attrs_inline", "colon_fence", "dollarmath"],
    "myst_dmath_double_inline": True,
    "nb_execution_mode": "off",             # notebooks.py has run them
    "nb_merge_streams": True,
    "nb_output_stderr": "remove",           # progress bars
}


class Warned(RuntimeError):
    """Something in the pages is not as it should be; Sphinx's words."""


def build(lessons: Mapping[str, Path], out: str | Path, run: bool = True,
          tell: Tell = print) -> None:
    """Build the site of these lessons into the folder `out`, in place of a site that is there.

    Raises ValueError if the folder has something else in it, notebooks.Failed for a lesson that
    does not run, and Warned for a page with a mistake; then `out` stays as it was.
    """
    out = Path(out)
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / MADE).exists())):
        raise ValueError(f"{out} has something else in it; choose another folder with --out")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
        source, site = Path(work, "source"), Path(work, "site")
        source.mkdir()
        pages.write(source, lessons, run, tell)
        tell("the pages …")
        with as_file(files("scratchnet.book") / "static") as static:
            _sphinx(source, site, Path(work, "trees"), static)
        shutil.rmtree(site / "_sources", ignore_errors=True)        # nothing is in it
        if out.exists():
            shutil.rmtree(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(site, out)


def _sphinx(source: Path, site: Path, trees: Path, static: Path) -> None:
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils
    said = io.StringIO()
    settings = {**SETTINGS, "html_static_path": [str(static)]}
    with patch_docutils(), docutils_namespace(), warnings.catch_warnings():
        warnings.simplefilter("ignore")         # of Sphinx's parts about each other
        app = Sphinx(source, None, site, trees, "html", confoverrides=settings, status=None,
                     warning=said, freshenv=True)
        app.build(force_all=True)
    if text := re.sub(r"\x1b\[[\d;]*m", "", said.getvalue()).strip():
        raise Warned(text.replace(str(source) + os.sep, ""))
