"""The list of conversations at the left: open, begin, rename, export and delete them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from mlx_toy.ui.conversation_store import STORAGE_KEY, STORAGE_SECRET, to_browser
from mlx_toy.ui.conversations import MAX_TITLE, Conversations
from mlx_toy.ui.events import AT_ONCE
from mlx_toy.ui.export import write
from mlx_toy.ui.markup import as_text
from mlx_toy.ui.shelf import Shelf

EMPTY = '<p class="empty">What you ask is kept in this browser, and listed here.</p>'
Show = Callable[[Conversations], tuple[Any, ...]]
Leave = Callable[[str], None]


# Gradio has no part that knows how wide the page is: beside the chat where there is room, and out
# of the way on a phone once a conversation was chosen.
OPEN_WHERE_WIDE = "() => ({__type__: 'update', open: window.innerWidth >= 1000})"
TYPE_THE_NAME = """() => setTimeout(() => document.querySelector(
    "#conversation-title input, #conversation-title textarea")?.select(), 50)"""


class ConversationList:
    """Builds the list inside the current `gr.Blocks`.

    Args:
        sidebar: that it stands in.

    Attributes:
        store: what the browser keeps; `read` reads it.
    """

    def __init__(self, sidebar: gr.Sidebar) -> None:
        self._sidebar, self._shelf = sidebar, Shelf()
        self.store = gr.BrowserState({}, storage_key=STORAGE_KEY, secret=STORAGE_SECRET)
        self._new = gr.Button("New chat", elem_id="new-chat", size="md")
        self._empty = gr.HTML(EMPTY, padding=False)
        self._list = gr.Radio(
            [],
            label="Conversations",
            show_label=False,
            container=False,
            interactive=True,
            visible=False,
            elem_id="conversations",
        )
        with gr.Row(visible=False, elem_id="conversation-actions") as self._actions:
            self._rename = gr.Button("Rename", size="sm", min_width=60)
            self._export = gr.Button("Export", size="sm", min_width=60)
            self._delete = gr.Button("Delete", size="sm", min_width=60)
        with gr.Group(visible=False) as self._renaming:
            self._title = gr.Textbox(
                label="New name",
                info="Enter renames.",
                max_length=MAX_TITLE,
                elem_id="conversation-title",
            )
        with gr.Row(visible=False) as self._exporting:
            self._markdown = gr.DownloadButton("Markdown", size="sm", min_width=60)
            self._json = gr.DownloadButton("JSON", size="sm", min_width=60)
        with gr.Column(visible=False, elem_id="confirm-delete") as self._deleting:
            self._question = gr.HTML(padding=False)
            with gr.Row():
                self._confirm = gr.Button("Delete it", variant="stop", size="sm", min_width=60)
                self._keep_it = gr.Button("Keep it", size="sm", min_width=60)
        self._panels = [self._renaming, self._exporting, self._deleting]
        self.outputs = [self.store, self._empty, self._list, self._actions, *self._panels]

    def read(self, kept: object) -> Conversations:
        """What the browser sent, and what its other tabs have done meanwhile."""
        return self._shelf.read(kept)

    def kept(self, conversations: Conversations) -> dict[str, Any]:
        """A new value of `store`."""
        return to_browser(self._shelf.write(conversations))

    def updates(self, conversations: Conversations) -> tuple[Any, ...]:
        """New values of `outputs`."""
        items = [(item.title, item.id) for item in conversations.items]
        current = conversations.current()
        return (
            self.kept(conversations),
            gr.update(visible=not items),
            gr.update(choices=items, value=current.id if current else None, visible=bool(items)),
            gr.update(visible=current is not None),
            *self._only(None),
        )

    def connect(self, page: gr.Blocks, outputs: list[Any], show: Show, leave: Leave) -> None:
        """Say what happens on each click.

        Args:
            page: whose opening restores the conversation that was open.
            outputs: the components that show a conversation.
            show: new values for them.
            leave: ends what still runs for a page, named by its session.
        """

        def changed(conversations: Conversations) -> tuple[Any, ...]:
            return *self.updates(conversations), *show(conversations)

        def restore(kept: object) -> tuple[Any, ...]:
            return changed(self.read(kept))

        def begin(request: gr.Request, kept: object) -> tuple[Any, ...]:
            leave(request.session_hash or "")
            return changed(self.read(kept).opened(""))

        def open_it(request: gr.Request, chosen: gr.SelectData, kept: object) -> tuple[Any, ...]:
            leave(request.session_hash or "")
            return changed(self.read(kept).opened(str(chosen.value)))

        def delete(request: gr.Request, kept: object) -> tuple[Any, ...]:
            leave(request.session_hash or "")
            return changed(self.read(kept).without_open())

        everything = [*self.outputs, *outputs]
        for event, handle in (
            (page.load, restore),
            (self._new.click, begin),
            (self._list.select, open_it),
        ):
            event(handle, [self.store], everything, **AT_ONCE)
            event(None, None, [self._sidebar], js=OPEN_WHERE_WIDE, **AT_ONCE)
        self._confirm.click(delete, [self.store], everything, **AT_ONCE)
        self._connect_panels()

    def begin_on(self, event: Callable[..., Any], outputs: list[Any], show: Show) -> None:
        """Let another event begin a new conversation, too; nothing runs when it comes."""

        def begin(kept: object) -> tuple[Any, ...]:
            conversations = self.read(kept).opened("")
            return *self.updates(conversations), *show(conversations)

        event(begin, [self.store], [*self.outputs, *outputs], **AT_ONCE)

    def _connect_panels(self) -> None:
        asked, panels = [self.store], self._panels
        asking = self._rename.click(self._ask_title, asked, [*panels, self._title], **AT_ONCE)
        asking.then(None, js=TYPE_THE_NAME)
        self._title.submit(self._renamed, [*asked, self._title], self.outputs, **AT_ONCE)
        files = [self._markdown, self._json]
        self._export.click(self._exported, asked, [*panels, *files], **AT_ONCE)
        self._delete.click(self._ask_delete, asked, [*panels, self._question], **AT_ONCE)
        self._keep_it.click(lambda: self._only(None), None, panels, **AT_ONCE)

    def _ask_title(self, kept: object) -> tuple[Any, ...]:
        current = self.read(kept).current()
        return *self._only(self._renaming), current.title if current else ""

    def _renamed(self, kept: object, title: str) -> tuple[Any, ...]:
        return self.updates(self.read(kept).renamed(title or ""))

    def _exported(self, kept: object) -> tuple[Any, ...]:
        current = self.read(kept).current()
        if current is None:
            return *self._only(None), None, None
        files = write(current, Path(self._markdown.GRADIO_CACHE))
        return *self._only(self._exporting), *map(str, files)

    def _ask_delete(self, kept: object) -> tuple[Any, ...]:
        current = self.read(kept).current()
        said = f"Delete “{as_text(current.title)}”?" if current else ""
        return *self._only(self._deleting), said

    def _only(self, shown: Any) -> list[Any]:
        """Of the small panels below the list this one, or none."""
        return [gr.update(visible=panel is shown) for panel in self._panels]
