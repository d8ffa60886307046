"""A sheet of labels to stick on cameras: id, site and a QR code of both. Never a claim: labels are public.

A4 with 3 x 8 labels of 70 x 37 mm, as PDF or SVG; drawn by reportlab.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hardware.errors import SettingInvalid

_MM: Final = 72 / 25.4
_PAGE: Final = (210 * _MM, 297 * _MM)
_PAPER: Final = '<svg width="210mm" height="297mm"'
_LABEL: Final = (70 * _MM, 37 * _MM)
_COLUMNS: Final = 3
_ROWS: Final = 8
_QR: Final = 30 * _MM
_LINES: Final = 6
_PER_PAGE: Final = _COLUMNS * _ROWS


@dataclass(frozen=True, slots=True)
class Label:
    """What one label says."""

    device: str
    site: str
    serial: str = ""

    @property
    def code(self) -> str:
        """What its QR code holds: two lines that a person can read, too."""
        return f"{self.device}\n{self.site}"


def write_labels(labels: Sequence[Label], path: Path) -> list[Path]:
    """Write the sheet; return its files: one PDF, or one SVG a page (`sheet.svg`, `sheet-2.svg`).

    Raises:
        SettingInvalid: the name ends in neither `.pdf` nor `.svg`, or the file cannot be written.
    """
    pages = [_page(labels[first : first + _PER_PAGE]) for first in range(0, len(labels), _PER_PAGE)]
    try:
        if path.suffix == ".pdf":
            return [_write_pdf(pages, path)]
        if path.suffix == ".svg":
            return [_write_svg(page, path, number) for number, page in enumerate(pages, 1)]
    except OSError as error:
        raise SettingInvalid(path, error.strerror or str(error), "name a file that can be written") from error
    raise SettingInvalid(path, "a sheet is .pdf or .svg", "for example --labels sheet.pdf")


def _write_pdf(pages: Sequence[Any], path: Path) -> Path:
    from reportlab.graphics import renderPDF
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), pagesize=_PAGE, invariant=1)
    canvas.setTitle("Pehra: labels")
    for page in pages:
        renderPDF.draw(page, canvas, 0, 0)
        canvas.showPage()
    canvas.save()
    return path


def _write_svg(page: Any, path: Path, number: int) -> Path:  # noqa: ANN401 (reportlab's own)
    from reportlab.graphics import renderSVG

    named = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
    drawn = str(renderSVG.drawToString(page))
    # reportlab's points would be taken for pixels, and the labels would come out too small for their paper.
    named.write_text(re.sub(r'<svg width="[^"]*" height="[^"]*"', _PAPER, drawn, count=1), "utf-8")
    return named


def _page(labels: Sequence[Label]) -> Any:  # noqa: ANN401
    from reportlab.graphics.shapes import Drawing

    page = Drawing(*_PAGE)
    for place, label in enumerate(labels):
        row, column = divmod(place, _COLUMNS)
        _draw(page, label, column * _LABEL[0], _PAGE[1] - (row + 1) * _LABEL[1])
    return page


def _draw(page: Any, label: Label, x: float, y: float) -> None:  # noqa: ANN401
    from reportlab.graphics.barcode.qr import QrCodeWidget
    from reportlab.graphics.shapes import Group, String

    code = QrCodeWidget(label.code, barLevel="M", barWidth=_QR, barHeight=_QR, x=0, y=0)
    page.add(Group(code, transform=(1, 0, 0, 1, x + 2 * _MM, y + 3.5 * _MM)))
    left, top = x + 33 * _MM, y + 27 * _MM
    page.add(String(left, top, "Pehra", fontName="Helvetica", fontSize=7))
    bold = _broken(label.device, 17)
    lines = [*bold, *_broken(label.site, 23)[: _LINES - len(bold)], label.serial]
    for number, line in enumerate(lines, 1):
        font, size = ("Helvetica-Bold", 10) if number <= len(bold) else ("Helvetica", 7)
        page.add(String(left, top - number * 3.6 * _MM, line, fontName=font, fontSize=size))


def _broken(text: str, width: int) -> list[str]:
    return [text[first : first + width] for first in range(0, len(text), width)]
