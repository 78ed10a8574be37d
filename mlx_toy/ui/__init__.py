"""The app in the browser: layout and events, on top of `mlx_toy.assistant` and nothing below it.

Reading order: `server.py` starts everything; `page.py` lays out the tabs; `chat_tab.py` and
`complete_tab.py` connect components to the generators in `chat.py` and `complete.py`, which know
nothing of Gradio, nor do the helpers under them. Gradio takes ten seconds to import, so only the
page and its tabs import it.
"""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported, after this
