"""A batch is checked in full before its first card, and its labels tell nobody a secret."""

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from hardware.errors import SettingInvalid
from hardware.flash.batch import Done, Row, read_rows
from hardware.flash.labels import Label, write_labels

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def batch(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode("utf-8"))
    return path


def test_rows_are_read_in_order_with_columns_in_any(tmp_path):
    path = batch(tmp_path, "\ufeffSite, ID ,serial,note\r\nlahore/a,cam-01,S1,x\r\nlahore/b,cam-02,,\r\n")
    assert read_rows(path) == [Row("cam-01", "lahore/a", "", "S1"), Row("cam-02", "lahore/b")]


def test_duplicates_are_refused_with_both_lines(tmp_path):
    path = batch(tmp_path, "id,site,serial\ncam-01,a,S1\ncam-02,a,S1\ncam-01,b,\n")
    with pytest.raises(SettingInvalid) as caught:
        read_rows(path)
    assert "line 3: serial S1 is on line 2, too; line 4: id cam-01 is on line 2, too" in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    path = batch(tmp_path, "id,site\nX,a\ncam-02,../b\ncam-03\n")
    with pytest.raises(SettingInvalid) as caught:
        read_rows(path)
    for said in ("line 2: id 'X'", "line 3: site '../b'", "line 4: site ''", "nothing was written"):
        assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "name,place\na,b\n", "id,site\n", 'id,site\n"cam-01,a\n'])
def test_what_is_no_batch_is_refused(tmp_path, text):
    with pytest.raises(SettingInvalid):
        read_rows(batch(tmp_path, text))


def test_a_batch_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingInvalid, match="CSV in UTF-8"):
        read_rows(tmp_path / "x.csv")


def test_what_is_done_is_not_done_again(tmp_path):
    path = batch(tmp_path, "id,site\ncam-01,a\ncam-02,b\n")
    rows = read_rows(path)
    Done(path).add(rows[0], "ab" * 32, NOW)
    assert Done(path).open_rows(rows) == [rows[1]]


def test_what_was_done_for_another_site_is_not_passed_over(tmp_path):
    path = batch(tmp_path, "id,site\ncam-01,b\n")
    Done(path).add(Row("cam-01", "a"), "", NOW)
    with pytest.raises(SettingInvalid, match="was made for a, the batch says b"):
        Done(path).open_rows(read_rows(path))


def test_a_foreign_file_of_what_is_done_is_not_overwritten(tmp_path):
    path = batch(tmp_path, "id,site\ncam-01,b\n")
    (tmp_path / "labels.csv.done").write_text("my notes\n")
    with pytest.raises(SettingInvalid, match="move it away"):
        Done(path)


def test_labels_are_a_pdf(tmp_path):
    pytest.importorskip("reportlab")
    labels = [Label(f"cam-{number:02}", "lahore/gulberg/liberty-chowk") for number in range(30)]
    (written,) = write_labels(labels, tmp_path / "sheet.pdf")
    content = written.read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") == 2


def test_labels_are_svg_a_file_a_page_with_id_and_site(tmp_path):
    pytest.importorskip("reportlab")
    labels = [Label(f"cam-{number:02}", "lahore/gulberg", f"S{number}") for number in range(30)]
    first, second = write_labels(labels, tmp_path / "sheet.svg")
    assert (first.name, second.name) == ("sheet.svg", "sheet-2.svg")
    words = "".join(ElementTree.fromstring(first.read_text()).itertext())
    assert all(said in words for said in ("cam-00", "cam-23", "lahore/gulberg", "S7"))
    assert "cam-24" not in words


def test_the_code_of_a_label_holds_its_id_and_site(tmp_path):
    pytest.importorskip("reportlab")
    cv2 = pytest.importorskip("cv2")
    (sheet,) = write_labels([Label("gulberg-01", "lahore/gulberg/liberty-chowk")], tmp_path / "sheet.svg")
    said, *_ = cv2.QRCodeDetector().detectAndDecode(_code_drawn(sheet.read_text()))
    assert said == "gulberg-01\nlahore/gulberg/liberty-chowk"


def _code_drawn(svg):
    """The black squares of the first code as a picture, drawn upwards as SVG's y goes down."""
    import numpy

    scale, side = 6, 90
    picture = numpy.full((side * scale, side * scale), 255, numpy.uint8)
    for one in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect"):
        if "fill: rgb(0%,0%,0%)" in one.get("style", ""):
            x, y, width, height = (float(one.get(key)) * scale for key in ("x", "y", "width", "height"))
            top = side * scale - y - height
            picture[round(top) : round(top + height), round(x) : round(x + width)] = 0
    return picture


def test_a_sheet_of_another_kind_is_refused(tmp_path):
    with pytest.raises(SettingInvalid, match=r"\.pdf or \.svg"):
        write_labels([Label("cam-01", "a")], tmp_path / "sheet.doc")
