"""Loading models: choice of the model and of the backend, and the sessions of each backend."""
