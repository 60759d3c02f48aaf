"""For export: a model as an ONNX graph, held against the bundle, and a page that runs it in a browser."""
