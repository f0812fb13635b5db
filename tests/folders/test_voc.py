"""Pascal VOC files."""

from xml.etree import ElementTree

import pytest
from imgaug import augmenters as iaa

from augfarm.client.folders.annotations.bundle import AnnotationError
from augfarm.client.folders.annotations.voc import Voc
from folders.through import beside, through

PERSON = """<object>
        <name>person</name><truncated>0</truncated><difficult>0</difficult>
        <bndbox><xmin>11</xmin><ymin>21</ymin><xmax>50</xmax><ymax>60</ymax></bndbox>
        <part><name>head</name>
            <bndbox><xmin>11.5</xmin><ymin>21</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></part>
    </object>"""
DOCUMENT = """<annotation>
    <!-- of a street -->
    <folder>VOC</folder><filename>a.png</filename><path>/data/a.png</path>
    <size><width>80</width><height>60</height><depth>3</depth></size>
    {objects}
</annotation>
"""


def document(folder, augmenter, objects=PERSON, min_visible=0.0, **replaced):
    text = DOCUMENT.format(objects=objects)
    for old, new in replaced.items():
        text = text.replace(f"<{old}>", f"<{new}>") if "/" not in new else text.replace(*new.split("/"))
    (folder / "a.xml").write_text(text)
    ((path, octets),) = through(Voc(beside(folder), min_visible), augmenter).files
    assert path == "a_aug0000.xml"
    return octets.decode()


def boxes(text):
    corners = ("xmin", "ymin", "xmax", "ymax")
    return [[box.findtext(c) for c in corners] for box in ElementTree.fromstring(text).iter("bndbox")]


def test_an_identity_changes_the_name_alone(tmp_path):
    given = document(tmp_path, iaa.Add(10))
    expected = (
        DOCUMENT.format(objects=PERSON).replace("/data/a.png", "a.png").replace("a.png", "a_aug0000.png")
    )
    assert given == expected


def test_boxes_are_mirrored_as_pixels_counted_from_1(tmp_path):
    given = document(tmp_path, iaa.Fliplr(1.0))
    assert boxes(given) == [["31", "21", "70", "60"], ["61.00", "21.00", "69.50", "30.00"]]
    assert "<truncated>0</truncated>" in given


def test_the_size_is_that_of_the_new_image(tmp_path):
    given = document(tmp_path, iaa.Crop(px=(0, 10, 20, 0), keep_size=False))
    assert "<width>70</width>" in given
    assert "<height>40</height>" in given
    assert "<depth>3</depth>" in given


def test_what_sticks_out_is_clipped_and_said_to_be_truncated(tmp_path):
    left = iaa.Affine(translate_px={"x": -30})
    given = document(tmp_path, left)
    assert boxes(given) == [["1", "21", "20", "60"]]  # and the head is gone
    assert "<truncated>1</truncated>" in given
    assert boxes(document(tmp_path, left, min_visible=0.5)) == [["1", "21", "20", "60"]]
    assert boxes(document(tmp_path, left, min_visible=0.6)) == []


@pytest.mark.parametrize(
    ("objects", "text"),
    [
        ("<object><bndbox><xmin>1</xmin></bndbox></object>", "without ymin"),
        (PERSON.replace("50", "wide"), "expected numbers"),
        ("<object><polygon><x1>4</x1></polygon></object>", "has a polygon, expected bndbox alone"),
        ("<object>", "mismatched tag"),
        ("<size><width>60</width></size>", None),
    ],
)
def test_bad_files_are_named(tmp_path, objects, text):
    if text is None:
        (tmp_path / "a.xml").write_text(
            DOCUMENT.format(objects="").replace("80", "60").replace("<height>60", "<height>80")
        )
        with pytest.raises(AnnotationError, match="its size is 60x80, and the image is 80x60"):
            through(Voc(beside(tmp_path), 0.0), iaa.Identity())
        return
    with pytest.raises(AnnotationError, match=rf"a\.xml: .*{text}"):
        document(tmp_path, iaa.Identity(), objects)
