"""How the app looks: Gradio's theme with the fonts of the reader's computer, and a little CSS.

Only Gradio's own colour variables are used, so that light and dark both follow.
"""

import gradio as gr

from mlx_toy.ui.chat_style import CHAT_CSS
from mlx_toy.ui.pages_style import PAGES_CSS
from mlx_toy.ui.sources_style import SOURCES_CSS

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
MONOSPACE = ("ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace")


def theme() -> gr.themes.Base:
    """Quiet colours; no font is fetched from anywhere."""
    return gr.themes.Default(
        primary_hue="blue",
        secondary_hue="blue",
        neutral_hue="slate",
        font=FONTS,
        font_mono=MONOSPACE,
    )


_CSS = """
.gradio-container { max-width: 88rem !important; width: 100%; margin: 0 auto !important; }
.html-container { padding: 0 !important; }
/* Gradio measures this once, maybe before the page is laid out: then the list covers the tabs */
.sidebar-parent { --overlap-amount: max(0px, 320px - max(0px, (100vw - 88rem) / 2)); }
.sidebar-parent:has([role="tabpanel"][style*="none"] .sidebar) { --overlap-amount: 0px; }
#header { align-items: center; gap: 0.25rem 1.5rem; }
#header h1 { font-size: 1.4rem; margin: 0; }
#header p { color: var(--body-text-color-subdued); margin: 0; }
#status { text-align: right; }
#status .state::before { content: "●"; margin-right: 0.4em; color: var(--primary-500); }
#status .loading::before { animation: pulse 1.2s ease-in-out infinite; }
#status .ready::before { color: #16a34a; }
#status .failed { color: var(--error-text-color); }
#status .failed::before { color: #dc2626; }
@keyframes pulse { 50% { opacity: 0.2; } }

#side { gap: 0.5rem; }
#side h2 { font-size: 1rem; margin: 0.75rem 0 0; }
.empty, .lead { color: var(--body-text-color-subdued); margin: 0; }
#documents { max-height: 14rem; overflow-y: auto; gap: 0.25rem; }
.document-row { flex-wrap: nowrap; align-items: center; }
.document-row .name { display: block; overflow-wrap: anywhere; font-weight: 600; }
.document-row .size { color: var(--body-text-color-subdued); font-size: 0.85em; }

#chat .md { white-space: pre-wrap; overflow-wrap: anywhere; }
#chat .bot .message + .message .md { color: var(--body-text-color-subdued); font-size: 0.75rem; }
#chat .bot .message + .message { margin-top: 0.35rem; }
#chat .example { border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg); }
#chat .placeholder { text-align: center; padding: 1rem; }
.form:has(> #use-documents), #use-documents {
  border: none !important; background: none !important; box-shadow: none !important;
}

mark { background: #fde68a; color: #1e293b; border-radius: 0.2em; padding: 0 0.1em; }


@media (max-width: 40rem) {
  #header { flex-direction: column; align-items: flex-start; }
  #status { text-align: left; }
}
"""

CSS = CHAT_CSS + SOURCES_CSS + _CSS + PAGES_CSS
