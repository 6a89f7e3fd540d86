"""The conformance kit: checks any plug-in, built-in or third-party, against the contract of `sightd.plugins.api`.

from sightd.plugins.testing import check_plugin

def test_it_keeps_to_the_contract():
    report = check_plugin(MyPlugin)
    assert report.ok, report
"""

from sightd.plugins.testing.kit import Check, Report, check_plugin
from sightd.plugins.testing.stubs import EngineLoader, Scene, StubContext

__all__ = ["Check", "EngineLoader", "Report", "Scene", "StubContext", "check_plugin"]
