"""How a network runs: model catalogue, fetch, convert, sessions. Knows tensors, not frames.

Importing this package switches off the telemetry of the libraries below it, which begins when they are imported.
`daemon` and `plugins` import it first, so this holds in every process of ours, plug-in processes and tools included.
"""

import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime uploads usage, and writes below ~/.cache/Microsoft
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # OpenVINO reports each import; None blocks it
