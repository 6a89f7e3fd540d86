"""ONVIF: finds cameras in the network, asks them for their streams, and moves them."""
