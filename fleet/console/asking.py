"""A question before a deed that cannot be taken back: what will happen, and two buttons."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui


def ask_first(title: str, sentence: str, label: str, work: Callable[[], Awaitable[None]]) -> None:
    """Open a question; the work is done once, whatever is clicked how often.

    Args:
        title: what is asked.
        sentence: what will happen.
        label: of the button that does it.
        work: does it, and says how it went.
    """
    with ui.dialog() as dialog, ui.card().classes("form"):
        ui.label(title).classes("subtitle")
        ui.label(sentence).mark("prospect")

        async def go() -> None:
            if not dialog.value:
                return
            dialog.close()
            await work()

        with ui.element("div").classes("row-line").style("justify-content: flex-end; margin: 8px 0 0"):
            ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
            ui.button(label, on_click=go).props("unelevated no-caps")
    dialog.open()
