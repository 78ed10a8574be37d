"""The page: header with the state of the model, and the tabs."""

from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from mlx_toy.settings import Settings, on_space
from mlx_toy.ui.api import Api
from mlx_toy.ui.chat_tab import ChatTab
from mlx_toy.ui.complete_tab import CompleteTab
from mlx_toy.ui.documents_tab import DocumentsTab
from mlx_toy.ui.events import PRIVATE
from mlx_toy.ui.learned_tab import LearnedTab
from mlx_toy.ui.loading import Loading, Status
from mlx_toy.ui.markup import as_text
from mlx_toy.ui.server import trusted_hosts
from mlx_toy.ui.stops import Stops
from mlx_toy.ui.style import CSS, theme
from mlx_toy.ui.tokenizer_tab import TokenizerTab
from mlx_toy.ui.visitors import Visitors

TITLE = "mlx-toy"
TAGLINE = "A tiny language model that answers from your documents"
STORAGE_KEY = "mlx-toy-visitor"  # in the browser; the same after a restart of the server
POLL_S = 1.0  # how often the page asks whether the model is ready
CONCURRENT, WAITING = 8, 64  # requests of a kind that are worked on at a time, and that queue
UPLOAD_AGE_S = 3600  # uploads that nobody sent are deleted after an hour


def build(settings: Settings, loading: Loading) -> gr.Blocks:
    """Lay out the app; `loading` may still be at work."""
    visitors, stops = Visitors(shared=on_space()), Stops()
    with gr.Blocks(
        title=TITLE,
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(UPLOAD_AGE_S, UPLOAD_AGE_S),
    ) as page:
        secret = gr.BrowserState("", storage_key=STORAGE_KEY)
        with gr.Row(elem_id="header", equal_height=True):
            gr.HTML(f"<h1>{TITLE}</h1><p>{TAGLINE}</p>", padding=False)
            status = gr.HTML(_status_html(loading.status()), elem_id="status", padding=False)
        with gr.Tabs():
            with gr.Tab("Chat"):
                chat = ChatTab(loading, settings, visitors, stops, secret)
            with gr.Tab("Complete"):
                CompleteTab(loading, settings, Stops())
            with gr.Tab("Documents"):
                refresh = chat.refresh
                DocumentsTab(loading, visitors, Stops(), secret, chat.documents, refresh)
            with gr.Tab("Tokenizer") as tokenizer:
                TokenizerTab(loading, tokenizer)
            with gr.Tab("How it learned"):
                LearnedTab(settings)
        chat.connect(page)
        Api(loading, visitors)
        clock = gr.Timer(POLL_S)

        def arrive(kept: Any) -> tuple[Any, ...]:
            """A visitor opens the page: who it is, how far the model is, what the library holds."""
            mine = visitors.secret(kept)
            return mine, *look(mine)

        def look(kept: Any) -> tuple[Any, ...]:
            now = loading.status()
            if now.state != "ready":
                return _status_html(now), gr.Timer(active=now.state == "loading"), []
            if not visitors.knows(kept):  # the clock was faster than `arrive`: look again
                return _status_html(now), gr.skip(), gr.skip()
            return _status_html(now), gr.Timer(active=False), chat.refresh(kept)

        shown = [status, clock, chat.documents]
        # Through the queue: only a queued event tells the page that a gr.State has changed.
        page.load(arrive, [secret], [secret, *shown], concurrency_limit=None, **PRIVATE)
        clock.tick(look, [secret], shown, concurrency_limit=None, **PRIVATE)
    return page


def launch(page: gr.Blocks, settings: Settings, port: int, mcp: bool = False) -> None:
    """Listen on a port, and return as soon as the page answers.

    Args:
        page: from `build`.
        settings: where to listen, and the largest upload.
        port: a free one.
        mcp: whether to be an MCP server too, at /gradio_api/mcp/.

    Raises:
        OSError: somebody else listens there.
    """
    hosts = trusted_hosts(settings.host)
    page.queue(default_concurrency_limit=CONCURRENT, max_size=WAITING, api_open=False)
    page.launch(
        server_name=f"[{settings.host}]" if ":" in settings.host else settings.host,
        server_port=port,
        max_file_size=f"{settings.max_file_mb}mb",
        theme=theme(),
        css=CSS,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        run_history=False,
        footer_links=[],
        mcp_server=mcp,
        app_kwargs={"middleware": [Middleware(TrustedHostMiddleware, allowed_hosts=hosts)]},
    )


def _status_html(status: Status) -> str:
    return f'<p class="state {status.state}" role="status">{as_text(status.line)}</p>'
