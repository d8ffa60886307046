"""A question before a deed that cannot be taken back: what will happen, and two buttons."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui


def ask_first(
    place: ui.element, title: str, sentence: str, label: str, work: Callable[[], Awaitable[None]]
) -> None:
    """Open a question; the work is done once, whatever is clicked how often.

    Args:
        place: an element that stays as long as the page, whatever the work changes on it.
        title: what is asked.
        sentence: what will happen.
        label: of the button that does it.
        work: does it, and says how it went.
    """
    with place, ui.dialog() as dialog, ui.card().classes("form"):
        ui.label(title).classes("subtitle wrapped")
        ui.label(sentence)

        async def go() -> None:
            if not dialog.value:
                return
            dialog.close()
            with place:  # the work may take this dialog away before it has said how it went
                await work()

        with ui.element("div").classes("row-line").style("justify-content: flex-end; margin: 8px 0 0"):
            ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
            ui.button(label, on_click=go).props("unelevated no-caps")
    dialog.on("hide", dialog.delete)
    dialog.open()
