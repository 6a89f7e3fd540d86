"""Model inference: catalogue, download, conversion and sessions. Works on tensors, not on video frames.

Importing this package disables the telemetry of the libraries below it, which starts when they are imported. `daemon`
and `plugins` import it first, so this applies to every sightd process, including plug-in processes and tools.
"""

import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime uploads usage, and writes below ~/.cache/Microsoft
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # OpenVINO reports imports; None blocks it
