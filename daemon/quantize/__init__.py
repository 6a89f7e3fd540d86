"""Making a network of the catalogue int8 with a user's own pictures, and saying what it costs."""
