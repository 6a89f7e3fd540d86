"""Camera capture: one thread per camera that connects, decodes, timestamps frames and reconnects after every fault."""
