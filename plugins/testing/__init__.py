"""The conformance kit: holds any plug-in, ours or not, to the contract of `plugins.api`.

from plugins.testing import check_plugin

def test_it_keeps_to_the_contract():
    report = check_plugin(MyPlugin)
    assert report.ok, report
"""

from plugins.testing.context import EngineLoader, StubContext
from plugins.testing.kit import check_plugin
from plugins.testing.report import Check, Report
from plugins.testing.scene import Scene

__all__ = ["Check", "EngineLoader", "Report", "Scene", "StubContext", "check_plugin"]
