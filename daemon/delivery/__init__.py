"""Delivers the journal's events to other programs: `manager.EventDelivery` runs a worker thread per sink."""
