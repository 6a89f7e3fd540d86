"""Files of models: catalogue, download, store, conversion, and reading and editing ONNX."""
