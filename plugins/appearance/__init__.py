"""Embeds detected objects: vectors by which the tracker finds an object again after an occlusion, and `identity` finds
it on other cameras.

`plugin` is the plug-in, `config` its options, `choice` decides which objects are embedded on a frame, and `embedder`
crops them and runs the model. `population` learns from the objects in sight how similar those of different ones are.
"""
