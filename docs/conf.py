"""The documentation site, built by `make docs`: an error in an example or a lost link fails it."""

import os
import sys
from functools import partialmethod
from pathlib import Path

from nbclient import NotebookClient

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS)]

# The kernels that run the pages see the library, the training program and the tools of this folder,
# and `python` is the interpreter of this environment.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(DOCS)])
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
# They do not read the IPython profile of whoever builds, and speak of errors alone.
PROFILE = DOCS / "_build" / "ipython" / "profile_default"
PROFILE.mkdir(parents=True, exist_ok=True)
(PROFILE / "ipython_config.py").write_text("get_config().Application.log_level = 'ERROR'\n")
os.environ["IPYTHONDIR"] = str(PROFILE.parent)

project = "jlstm"
author = "The jlstm authors"
copyright = author

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "machinery.docstrings",
    "machinery.links",
    "machinery.equations",
    "machinery.images",
]
exclude_patterns = ["_build"]

nitpicky = True
nitpick_ignore_regex = [
    # Annotations name types of jaxtyping, JAX and others, whose pages are not here.
    ("py:class", r"(jax|np|nnx|flax|numpy|collections|os|matplotlib)\..*"),
    ("py:class", r"(Array|Bool|Float|Int|PRNGKeyArray|PyTree|Shaped)"),
    ("py:class", r"(Any|Axes|Callable|DTypeLike|Figure|Initializer|Mapping|Sequence|Shapes|Step)"),
]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_show_tb = True
nb_execution_timeout = 300
nb_output_stderr = "remove-warn"
nb_merge_streams = True
# The output of a shell comes in pieces of 100 characters, which have to be joined before that: the
# merging of streams would end each with a line.
NotebookClient.__init__ = partialmethod(NotebookClient.__init__, coalesce_streams=True)
nb_render_markdown_format = "myst"  # outputs too: the default, CommonMark, knows no tables

autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autoclass_content = "both"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "sphinx_book_theme"
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_domain_indices = False
html_title = "jlstm"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_show_sourcelink = False
html_scaled_image_link = False  # pictures have a size because it is theirs
html_copy_source = False
html_theme_options = {
    "show_toc_level": 2,
    "navbar_persistent": [],  # there is a search field at the side
    "use_download_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
