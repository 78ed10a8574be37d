"""How the app looks: Gradio's theme with the fonts of the reader's computer, and a little CSS.

Only Gradio's own colour variables are used, so that light and dark both follow.
"""

import gradio as gr

from mlx_toy.ui.chat_style import CHAT_CSS
from mlx_toy.ui.pages_style import PAGES_CSS

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

.passages { display: grid; gap: 0.6rem; }
.passage {
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
  background: var(--block-background-fill); padding: 0.6rem 0.8rem;
}
.passage.cited { border-color: var(--primary-500); }
.passage header {
  display: flex; flex-wrap: wrap; gap: 0.1rem 0.6rem; align-items: baseline; font-size: 0.85em;
}
.passage .number {
  background: var(--primary-500); color: white; border-radius: 1em; padding: 0 0.55em;
}
.passage .document { font-weight: 600; overflow-wrap: anywhere; }
.passage .page, .passage .similarity { color: var(--body-text-color-subdued); }
.passage .similarity { margin-left: auto; }
.passage .heading { font-weight: 600; margin: 0.3rem 0 0; }
.passage .text { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.3rem 0 0; }
.quote { text-decoration: underline dotted var(--primary-500); }
.quote mark { font-weight: 700; }
mark { background: #fde68a; color: #1e293b; border-radius: 0.2em; padding: 0 0.1em; }

.passage:target { outline: 3px solid var(--primary-300); outline-offset: 2px; }
.passage { scroll-margin-top: 1rem; }
#sources { gap: 0.6rem; }
.in-document {
  margin: -0.5rem 0 0.4rem; padding: 0 !important;
  border: none !important; background: none !important;
}
.in-document > button {
  font-size: 0.85em; padding: 0.2rem 0.8rem; width: fit-content; gap: 0.5rem;
  color: var(--body-text-color-subdued);
}
.page-image { margin: 0; }
.page-image div {
  max-height: 34rem; overflow: auto; border: 1px solid var(--border-color-primary);
}
.page-image img { width: 100%; min-width: 32rem; height: auto; display: block; }
.page-image figcaption { font-size: 0.85em; color: var(--body-text-color-subdued); }
.dark .page-image img { filter: brightness(0.85); }
.surroundings {
  white-space: pre-wrap; overflow-wrap: anywhere; max-height: 26rem; overflow-y: auto;
  color: color-mix(in srgb, var(--body-text-color) 65%, transparent);
  border-left: 3px solid var(--border-color-primary); padding: 0 0.8rem; margin-left: 0.8rem;
}
.surroundings .here { color: var(--body-text-color); }

.token-view { display: flex; flex-wrap: wrap; row-gap: 0.35rem; margin: 0.5rem 0; }
.token-view > input, .token .said {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
}
.token-view > i { width: 100%; }
.token {
  white-space: pre-wrap; overflow-wrap: anywhere; border-radius: 0.2em; cursor: pointer;
  background: rgb(234 88 12 / var(--doubt)); border-bottom: var(--line) solid rgb(234 88 12);
  margin-right: 1px; font-size: 1.05rem; line-height: 1.5; position: relative;
}
.token.p0 { --doubt: 0; --line: 0px; }
.token.p1 { --doubt: 0.1; --line: 1px; }
.token.p2 { --doubt: 0.22; --line: 2px; }
.token.p3 { --doubt: 0.36; --line: 3px; }
.token.p4 { --doubt: 0.52; --line: 4px; }
.token-view .token:hover, .token-view > input:focus-visible + .token {
  outline: 2px solid var(--primary-500); z-index: 1;
}
.token-view > input:checked + .token { outline: 2px solid var(--body-text-color); z-index: 1; }
.token-view .details { display: none; order: 1; width: 100%; margin-top: 0.75rem; }
.token-view > input:checked + .token + .details,
.token-view > input:checked + .token + i + .details { display: block; }
.token-legend {
  display: flex; flex-wrap: wrap; gap: 0.3rem 0.6rem; align-items: baseline;
  font-size: 0.85em; color: var(--body-text-color-subdued); margin: 0;
}
.token-legend .token {
  cursor: default; font-size: 1em; padding: 0 0.4em; color: var(--body-text-color);
}
.details p { margin: 0 0 0.4rem; }
.details .columns {
  display: grid; gap: 0.5rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr));
}
.details h4 { font-size: 0.9rem; margin: 0.25rem 0; }
.details ul { list-style: none; margin: 0; padding: 0; font-size: 0.9em; }
.details li {
  display: flex; justify-content: space-between; gap: 1rem; padding: 0.05rem 0.4rem; margin: 1px 0;
  overflow-wrap: anywhere; border-radius: 0.2em;
  background: linear-gradient(var(--bar), var(--bar)) no-repeat 0 / calc(100% * var(--share)) 100%;
  --bar: rgb(59 130 246 / 0.3);
}
.details li.chosen { font-weight: 700; }

#continuation .continued {
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: 1.05rem; line-height: 1.6;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
  background: var(--block-background-fill); padding: 1rem;
}
#continuation-figures { color: var(--body-text-color-subdued); font-size: 0.85em; }

@media (max-width: 40rem) {
  #header { flex-direction: column; align-items: flex-start; }
  #status { text-align: left; }
}
"""

CSS = CHAT_CSS + _CSS + PAGES_CSS
