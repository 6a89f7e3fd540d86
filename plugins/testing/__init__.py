"""The conformance kit: checks any plug-in, built-in or third-party, against the contract of `sightd.plugins.api`.

from sightd.plugins.testing import check_plugin

def test_it_keeps_to_the_contract():
    report = check_plugin(MyPlugin)
    assert report.ok, report
"""

from sightd.plugins.testing.context import EngineLoader, StubContext
from sightd.plugins.testing.kit import check_plugin
from sightd.plugins.testing.report import Check, Report
from sightd.plugins.testing.scene import Scene

__all__ = ["Check", "EngineLoader", "Report", "Scene", "StubContext", "check_plugin"]
