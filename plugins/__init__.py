"""What is done to frames: the contract, the data types, and the plug-ins that ship. Never imports `daemon`."""
