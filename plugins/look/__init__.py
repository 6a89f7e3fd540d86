"""Where a model looks in a frame: views of it, several of them in one model input, and what is known between looks.

For plug-ins that find things with a model whose input is smaller than the camera's picture:

- `views` and `merging`: tiles, and combining what was found in overlapping views without duplicates;
- `sheets`: several views packed into one model input, and boxes mapped back;
- `known`: the objects that were found, kept until their place was looked at and they were not there;
- `plan`: which views to look at next, within a budget of model runs per second.
"""
